"""The places from which `check`, `diff` and `drift` read images. They do not store what they fetch."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import msgspec

from polyarch.errors import NotFoundError, RegistryError, UsageError
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.place import Partial, Source
from polyarch.transfer import locate
from polyarch.transfer.locate import Places
from polyarch.transfer.read_through import ReadThroughSource

Condition = Literal["whole", "missing", "of another size"]


@runtime_checkable
class Sized(Protocol):
    """A source that knows the actual sizes of its blobs."""

    def blob_size(self, digest: Digest) -> int | None: ...


@runtime_checkable
class Having(Protocol):
    """A source that can tell whether it has a blob without reading it."""

    def has_blob(self, descriptor: Descriptor) -> bool: ...


class OpenedImage(msgspec.Struct, frozen=True, kw_only=True):
    """A place, the name of an image in it, and its name for messages."""

    source: Source
    name: str
    called: str


@contextlib.contextmanager
def opened(text: str, places: Places) -> Iterator[OpenedImage]:
    """The place of the image `text`: in the store, by name or id; in a registry; in a layout or an archive.

    Layouts and archives may be given by their path alone. Raises NotFoundError, UsageError.
    """
    from polyarch.images import names

    location = locate.of_path(text) if _is_path(text) else None
    absent: NotFoundError | None = None
    if location is None and not text.startswith(tuple(prefix for prefix, _ in locate.PREFIXES)):
        try:
            named = names.find(places.store, text)
        except (NotFoundError, UsageError) as error:
            if _is_like_a_path(text):
                raise NotFoundError(
                    f"there is no file {text}, and no image of that name in the store",
                    "check the path; docker://NAME reads the image in its registry",
                ) from error
            if isinstance(error, UsageError):
                raise
            named, absent = None, error
        if named is not None:
            reference = references.parse(named.name) if named.name else None
            found = ReadThroughSource(places.store, places.registry, keep=False, repository=reference, stored=True)
            called = text if named.member is not None else names.familiar(named.name or text)
            yield OpenedImage(source=found, name=named.descriptor.digest, called=called)
            return
    location = location or locate.parse(text)
    if location.reference is not None:
        reference = location.reference
        source: Source
        if location.kind == "registry":
            source, name = places.registry.repository(reference), reference.version
        else:
            source = ReadThroughSource(places.store, places.registry, keep=False, repository=reference)
            name = str(reference)
        try:
            yield OpenedImage(source=source, name=name, called=location.reference.familiar())
        except RegistryError as error:
            if absent is not None:
                error.hint = f"{absent.message}, so its registry was asked; {error.hint or absent.hint}"
            raise
        return
    with locate.opened(location, places) as place:
        yield OpenedImage(source=place.source, name=place.name, called=text)


def condition(source: Source, descriptor: Descriptor) -> Condition:
    """Whether a blob exists and has the size in its descriptor, as far as that is known without reading it."""
    if isinstance(source, Sized) and (size := source.blob_size(descriptor.digest)) is not None:
        return "whole" if size == descriptor.size else "of another size"
    if isinstance(source, Having):
        return "whole" if source.has_blob(descriptor) else "missing"
    if isinstance(source, Partial) and source.lacks(descriptor):
        return "missing"
    return "whole"


def _is_like_a_path(text: str) -> bool:
    """Whether a name that is unknown was meant as the path of an archive or a layout."""
    endings = (".tar", ".tgz", ".tzst", ".tar.gz", ".tar.zst", ".tar.xz", ".tar.bz2")
    return text.startswith(("/", "./", "../", "~")) or text.lower().endswith(("/", *endings))


def _is_path(text: str) -> bool:
    """Whether the text is the path of an existing layout or archive. A plain name is that of an image."""
    path = Path(text)
    try:
        return (path / "oci-layout").is_file() or (path.is_file() and ("/" in text or ".tar" in text))
    except OSError:
        return False
