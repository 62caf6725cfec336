"""Parse the location of an image as users write it, and open it as a place and a name in it.

`oci-layout://DIR[:tag|@digest]` is the syntax of buildx; `oci-archive:FILE[:name]`, `docker-archive:FILE[:name]`,
`oci:DIR[:name]` and `docker://REFERENCE` are that of skopeo. Anything else is a reference, which is looked up in the
store first and then in its registry.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import msgspec

from polyarch.errors import NotFoundError, UsageError
from polyarch.oci import digest as digests
from polyarch.oci import reference as references
from polyarch.oci.place import Source
from polyarch.oci.reference import Reference

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.store.store import Store

Kind = Literal["layout", "archive", "registry", "any"]
PREFIXES: tuple[tuple[str, Kind], ...] = (
    ("oci-layout://", "layout"),
    ("oci:", "layout"),
    ("oci-archive:", "archive"),
    ("docker-archive:", "archive"),
    ("docker://", "registry"),
)

# skopeo's prefixes for storage that only these programs can read safely.
_ENGINES = (("containers-storage:", "podman"), ("docker-daemon:", "docker"))


class ImageLocation(msgspec.Struct, frozen=True, kw_only=True):
    """The location of an image: a `path` for layouts and archives, with the `name` inside, or else a `reference`."""

    kind: Kind
    path: str = ""
    name: str = ""
    reference: Reference | None = None


class Places(msgspec.Struct, frozen=True):
    """The places that a command works with. `spool` opens a temporary file for an archive that comes from a stream."""

    store: "Store"
    registry: "Registry"
    spool: Callable[[], BinaryIO]


class LocatedImage(msgspec.Struct, frozen=True, kw_only=True):
    """A place and a name in it. `repository` is set for a place in a registry, where blobs can stay."""

    source: Source
    name: str
    repository: Reference | None = None


def parse(text: str) -> ImageLocation:
    """Parse a location. Raises UsageError."""
    for prefix, kind in PREFIXES:
        if not text.startswith(prefix):
            continue
        rest = text.removeprefix(prefix)
        if kind == "registry":
            return ImageLocation(kind=kind, reference=references.parse(rest).tagged())
        path, name = _split(rest)
        if not path:
            raise UsageError(f"{text!r} has no path", f"write {prefix}PATH, or {prefix}PATH:TAG")
        return ImageLocation(kind=kind, path=path, name=name)
    for prefix, program in _ENGINES:
        if text.startswith(prefix):
            raise UsageError(
                f"{text}: the storage of another program cannot be read",
                f"load the image with: {program} save {text.removeprefix(prefix)} | polyarch load",
            )
    return ImageLocation(kind="any", reference=references.parse(text).tagged())


def of_path(path: str) -> ImageLocation:
    """The location of a layout directory or an archive file at `path`."""
    return ImageLocation(kind="layout" if Path(path).is_dir() else "archive", path=path)


@contextlib.contextmanager
def opened(location: ImageLocation, places: Places) -> Iterator[LocatedImage]:
    """Open the place of `location` for the time of a `with`. Raises NotFoundError, CorruptError."""
    from polyarch.transfer.read_through import ReadThroughSource

    if location.kind == "layout":
        from polyarch.transfer.layout import open_layout

        yield LocatedImage(source=open_layout(Path(location.path)), name=location.name)
    elif location.kind == "archive":
        from polyarch.transfer.archive import open_path

        with open_path(Path(location.path), places.spool) as archive:
            yield LocatedImage(source=archive, name=location.name)
    elif location.kind == "registry":
        assert location.reference is not None
        repository = places.registry.repository(location.reference)
        yield LocatedImage(source=repository, name=location.reference.version, repository=location.reference.repository)
    else:
        assert location.reference is not None
        yield LocatedImage(source=ReadThroughSource(places.store, places.registry), name=str(location.reference))


def not_found(text: str, error: NotFoundError, hint: str | None = None) -> NotFoundError:
    """The error with `text` at the start of its message, unless that starts with it already."""
    name = text.removeprefix("docker://")
    message = error.message if error.message.startswith(name) else f"{name}: {error.message}"
    return NotFoundError(message, error.hint or hint)


def _split(text: str) -> tuple[str, str]:
    """Path and name. As in skopeo, the path ends at the first colon, because a name may contain colons."""
    path, at, digest = text.partition("@")
    if at and digests.is_digest(digest):
        return path, digest
    path, _, name = text.partition(":")
    return path, name
