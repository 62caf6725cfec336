"""`Polyarch.indexes`: multi-platform indexes, made and edited by name."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from polyarch.client import arguments
from polyarch.client.arguments import Name, Names, Platforms, StrPath
from polyarch.client.core import ClientCore
from polyarch.client.values import EntryDifference, ImageIndex, IndexDifference, PushResult
from polyarch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polyarch.indexes.create import Changed
    from polyarch.indexes.merge import Disagreement
    from polyarch.oci.index import PlatformEdit
    from polyarch.oci.platform import Platform


class Indexes:
    """The indexes of a client's store: `client.indexes`. They are what docker calls a manifest list.

    An index has a `name` with a tag. A member is named by an image of the store or of a registry, or by a location
    ("oci-layout://DIR", "oci-archive:FILE"); an entry of an index also by its digest or platform.
    """

    def __init__(self, core: ClientCore) -> None:
        self._core = core

    def create(
        self,
        name: Name,
        members: "Names | Iterable[Name]" = (),
        *,
        amend: bool = False,
        allow_duplicates: bool = False,
        annotations: Mapping[str, str] = {},
        format: Literal["oci", "docker"] | None = None,
    ) -> ImageIndex:
        """Make an index of `members`. The images of an index among them are added one by one, with attestations.

        With `amend` an index that exists is added to, and a member takes the place of the entry for its platform.
        `format` None follows the members. Raises ConflictError where the index exists, or two members are for one
        platform and `allow_duplicates` is False; NotFoundError; RegistryError.
        """
        from polyarch.indexes import create as creating

        texts = tuple(arguments.images("members", members)) if members != () else ()
        options = creating.CreateOptions(
            amend=arguments.flag("amend", amend),
            allow_duplicates=arguments.flag("allow_duplicates", allow_duplicates),
            annotations=arguments.pairs("annotations", annotations),
            format=_format(format),
        )
        with self._core.places() as places:
            return _index(creating.create(places, arguments.image("name", name), texts, options))

    def add(
        self,
        name: Name,
        member: Name,
        *,
        os: str | None = None,
        architecture: str | None = None,
        variant: str | None = None,
        os_version: str | None = None,
        os_features: "str | Iterable[str] | None" = None,
        annotations: Mapping[str, str] = {},
        allow_duplicates: bool = False,
    ) -> ImageIndex:
        """Add an image, or all images of an index, to the index `name`.

        The keywords change the platform that the entry says; "" removes a field. Raises NotFoundError, ConflictError
        where the index has another image for the platform.
        """
        from polyarch.indexes import create as creating

        edit = _edit(os, architecture, variant, os_version, os_features)
        with self._core.places() as places:
            return _index(
                creating.add(
                    places,
                    arguments.image("name", name),
                    arguments.image("member", member),
                    edit,
                    arguments.pairs("annotations", annotations),
                    allow_duplicates=arguments.flag("allow_duplicates", allow_duplicates),
                )
            )

    def annotate(
        self,
        name: Name,
        entry: "Name | Platform | None" = None,
        *,
        os: str | None = None,
        architecture: str | None = None,
        variant: str | None = None,
        os_version: str | None = None,
        os_features: "str | Iterable[str] | None" = None,
        annotations: Mapping[str, str] = {},
    ) -> ImageIndex:
        """Change the platform or the annotations of an entry; without `entry`, the annotations of the index itself.

        `entry` is an image, a digest or a platform. An image that is not in the index becomes its entry for the
        platform that `os`, `architecture` and `variant` say. Raises NotFoundError; UsageError where nothing would
        change.
        """
        from polyarch.indexes import edit as editing

        edit = _edit(os, architecture, variant, os_version, os_features)
        notes = arguments.pairs("annotations", annotations)
        text = arguments.image("name", name)
        if entry is None:
            if not edit.is_empty:
                raise UsageError("an index itself has no platform", "name the entry that is to be changed")
            if not notes:
                raise UsageError("nothing to annotate", "give annotations={KEY: VALUE}")
            with self._core.places() as places:
                return _index(editing.annotate_list(places, text, notes))
        with self._core.places() as places:
            return _index(editing.annotate(places, text, _entry(entry), edit, notes))

    def remove(self, name: Name, entry: "Name | Platform") -> ImageIndex:
        """Take an entry out of the index, with its attestations; `entry` is an image, a digest or a platform.

        Raises NotFoundError that lists what there is.
        """
        from polyarch.indexes import edit as editing

        with self._core.places() as places:
            return _index(editing.remove(places, arguments.image("name", name), _entry(entry)))

    def inspect(self, name: Name) -> ImageIndex:
        """An index, or a single image as an index of it: the store's, else its registry's, or one at a location.

        Raises NotFoundError, RegistryError, CorruptError.
        """
        from polyarch.images import names
        from polyarch.indexes import inspect as inspecting

        with self._core.places() as places:
            found = inspecting.inspect(places, arguments.image("name", name))
        return ImageIndex(
            name=names.familiar(found.name),
            descriptor=found.descriptor,
            entries=tuple(part.descriptor for part in found.parts),
            annotations=found.document.annotations,
        )

    def push(
        self,
        name: Name,
        destination: Name | None = None,
        *,
        platforms: Platforms = (),
        format: Literal["oci", "docker"] | None = None,
    ) -> PushResult:
        """Send an index to its registry, or to `destination`: its images first, then the index.

        With `platforms` only their images are sent; `format` converts. The index in the store is left as it is.
        Raises NotFoundError before anything is sent where a member cannot be had; UnsupportedError for what docker's
        format cannot say; RegistryError.
        """
        from polyarch.indexes import push as pushing

        options = pushing.PushOptions(
            format=_format(format),
            platforms=arguments.platforms("platforms", platforms, self._core.host) or None,
        )
        target = "" if destination is None else arguments.image("destination", destination)
        with self._core.places() as places:
            done = pushing.push(places, arguments.image("name", name), target, options, self._core.emit)
        return PushResult(
            name=done.destination.familiar(), descriptor=done.sent.descriptor, note=done.note, warnings=done.warnings
        )

    def merge(
        self,
        sources: "StrPath | Iterable[StrPath]",
        names: Names,
        *,
        allow_duplicates: bool = False,
    ) -> ImageIndex:
        """Make one index of images that were built separately, with no registry in between.

        `sources` are paths of OCI layouts and archives, or locations as in `create`; the index gets all `names`.
        `warnings` say what ought to be the same on every platform and is not: labels, environment, entrypoint.
        Raises ConflictError where two are for one platform, NotFoundError, CorruptError; then no name has changed.
        """
        from polyarch.indexes import merge as merging

        given = arguments.items("sources", sources, "a path or several", (str, *arguments.PATHS))
        texts = [self._source(source) for source in given]
        called = arguments.images("names", names)
        with self._core.places() as places:
            done = merging.merge(
                places,
                texts,
                called,
                allow_duplicates=arguments.flag("allow_duplicates", allow_duplicates),
                emit=self._core.emit,
            )
        return _index(done.lists[0], tuple(map(_disagreement, done.drift)))

    def diff(self, old: Name, new: Name) -> IndexDifference:
        """What differs between two indexes; "docker://NAME" is one of a registry even where the store has it.

        Raises NotFoundError, RegistryError, CorruptError.
        """
        from polyarch.indexes import diff as differing

        with self._core.places() as places:
            found = differing.diff(places, arguments.image("old", old), arguments.image("new", new))
        return IndexDifference(
            entries=tuple(EntryDifference(**msgspec.structs.asdict(entry)) for entry in found.entries),
            annotations=found.annotations,
        )

    def _source(self, source: Any) -> str:
        from polyarch.transfer import locate

        if isinstance(source, str) and any(source.startswith(prefix) for prefix, _ in locate.PREFIXES):
            return source
        return str(arguments.path("sources", source, self._core.directory))


def _index(changed: "Changed", warnings: tuple[str, ...] = ()) -> ImageIndex:
    from polyarch.images import names

    return ImageIndex(
        name=names.familiar(changed.name),
        descriptor=changed.descriptor,
        entries=changed.index.manifests,
        annotations=changed.index.annotations,
        added=changed.added,
        removed=changed.removed,
        warnings=(*changed.warnings, *warnings),
    )


def _disagreement(found: "Disagreement") -> str:
    values = "; ".join(f"{platform}: {value}" for platform, value in found.values)
    return f"{found.field} differs between platforms: {values}"


def _entry(entry: object) -> str:
    from polyarch.oci.platform import Platform

    return str(entry) if isinstance(entry, Platform) else arguments.image("entry", entry)


def _format(format: str | None) -> str | None:
    return None if format is None else arguments.choice("format", format, ("oci", "docker"))


def _edit(
    os: str | None,
    architecture: str | None,
    variant: str | None,
    os_version: str | None,
    os_features: "str | Iterable[str] | None",
) -> "PlatformEdit":
    from polyarch.oci.index import PlatformEdit

    fields = {"os": os, "architecture": architecture, "variant": variant, "os_version": os_version}
    for name, value in fields.items():
        if value is not None:
            arguments.text(name, value)
    features = None if os_features is None else tuple(filter(None, arguments.texts("os_features", os_features)))
    return PlatformEdit(**fields, os_features=features)
