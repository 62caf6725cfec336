"""`Polyarch.indexes`: multi-platform indexes."""

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
    """The multi-platform indexes in the store of a client: `client.indexes`. Docker calls them manifest lists.

    The `name` of an index has a tag. A member is an image in the store, an image in a registry, "oci-layout://DIR" or
    "oci-archive:FILE". An entry of an index can also be named by its digest or its platform.
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
        """Create an index of `members`, and return it.

        If a member is an index, its images and their attestations become entries. `amend` allows to change an index
        that exists; members then replace the entries for their platforms. `format` is by default that of the members.

        Raises ConflictError if the index exists, or if two members are for the same platform, unless
        `allow_duplicates` is true; NotFoundError; RegistryError.
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
        """Add an image, or all images of an index, to the index `name`, and return the index.

        `os`, `architecture`, `variant`, `os_version` and `os_features` replace fields of the platform in the new entry;
        "" removes a field. Raises NotFoundError; ConflictError if the index has another image for the platform.
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
        """Change the platform or the annotations of an entry, and return the index.

        `entry` is an image, a digest or a platform; None stands for the index itself, which has only annotations. An
        image that is not in the index becomes the entry for the platform that `os`, `architecture` and `variant` name.
        Raises NotFoundError; UsageError if there is nothing to change.
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
        """Remove an entry and its attestations from an index, and return the index.

        `entry` is an image, a digest or a platform. Raises NotFoundError, which lists the entries.
        """
        from polyarch.indexes import edit as editing

        with self._core.places() as places:
            return _index(editing.remove(places, arguments.image("name", name), _entry(entry)))

    def inspect(self, name: Name) -> ImageIndex:
        """Return an index of the store, or if the store does not have it, of its registry.

        "docker://NAME" is always read in the registry; "oci-layout://DIR" and "oci-archive:FILE" are files. A single
        image is returned as an index with one entry. Raises NotFoundError, RegistryError, CorruptError.
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
        """Upload an index and its images to its registry, or to `destination`.

        `platforms` are the platforms to upload, by default all. `format` converts what is uploaded; the index in the
        store does not change. Raises NotFoundError before it sends anything if a member does not exist;
        UnsupportedError if docker's format cannot represent the index; RegistryError.
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
        """Create one index from images that were built separately, and return it. No registry is needed.

        `sources` are paths of OCI layouts and archives. The index gets all `names`. Its `warnings` list what should be
        the same on all platforms and is not, such as labels or the entrypoint. Raises ConflictError if two images are
        for the same platform; NotFoundError; CorruptError. After an error no name has changed.
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
        """Return the differences between two indexes, which are named as for `inspect`.

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
