"""Where an image that is only looked at is read from: nothing that a check fetches is kept."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar, runtime_checkable

import msgspec

from polyarch.errors import NotFoundError, RegistryError, UsageError
from polyarch.oci import digest as digests
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.place import BlobReader, Partial, Source
from polyarch.oci.reference import Reference
from polyarch.transfer import locate, read_through
from polyarch.transfer.locate import Places

if TYPE_CHECKING:
    from polyarch.registry import Registry, Repository
    from polyarch.store import Store

_T = TypeVar("_T")
Condition = Literal["whole", "missing", "of another size"]


@runtime_checkable
class Sized(Protocol):
    """A source that knows how many bytes its blobs really have."""

    def blob_size(self, digest: Digest) -> int | None: ...


@runtime_checkable
class Having(Protocol):
    """A source that can be asked for a blob without reading it."""

    def has_blob(self, descriptor: Descriptor) -> bool: ...


class PeekSource:
    """The store, and behind it registries: Source and Ranged of `oci/place.py`. It writes nothing, and owns neither.

    What the store lacks is read where it was seen before, or in the repository that the image is named by.
    """

    def __init__(self, store: "Store", registry: "Registry", reference: Reference | None, *, local: bool) -> None:
        self._store = store
        self._registry = registry
        self._reference = reference
        # Whether the image is the store's, of which platforms may never have been pulled.
        self.local = local

    def resolve(self, name: str) -> Descriptor:
        """As of `place.Source`."""
        try:
            return self._store.resolve(name)
        except NotFoundError:
            if self._reference is None:
                raise
        version = name if digests.is_digest(name) else self._reference.version
        return self._registry.repository(self._reference).resolve(version)

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """As of `place.Source`."""
        try:
            return self._store.read_manifest(descriptor)
        except NotFoundError as error:
            return self._ask(descriptor, lambda repository: repository.read_manifest(descriptor), error)

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """As of `place.Source`."""
        try:
            return self._store.open_blob(descriptor)
        except NotFoundError as error:
            try:
                return self._ask(descriptor, lambda repository: repository.open_blob(descriptor), error)
            except (NotFoundError, RegistryError):
                if not descriptor.urls:
                    raise
                return self._registry.open_elsewhere(descriptor)

    def read_range(self, descriptor: Descriptor, offset: int, size: int) -> bytes:
        """As of `place.Ranged`."""
        try:
            return self._store.read_range(descriptor, offset, size)
        except NotFoundError as error:
            return self._ask(descriptor, lambda repository: repository.read_range(descriptor, offset, size), error)

    def tags(self) -> tuple[str, ...]:
        """The store's names."""
        return self._store.tags()

    def blob_size(self, digest: Digest) -> int | None:
        """The size of the store's copy; None if it has none."""
        try:
            return self._store.blob_path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Whether the store has it, else a registry, in the size that it should have."""
        if self._store.has_blob(descriptor):
            return True
        absent = NotFoundError(f"the blob {descriptor.digest} is nowhere to be found")
        try:
            return self._ask(descriptor, _HeldBlob(descriptor), absent)
        except NotFoundError:
            return False

    def _ask(self, descriptor: Descriptor, question: "Callable[[Repository], _T]", absent: NotFoundError) -> _T:
        """The first answer of the repositories that may have it. Raises `absent`, or the last registry's failure."""
        failure: RegistryError | None = None
        seen = read_through.origins(self._store, descriptor.digest)
        own = (self._reference.repository,) if self._reference is not None else ()
        for repository in dict.fromkeys((*own, *seen)):
            try:
                return question(self._registry.repository(repository))
            except NotFoundError:
                continue
            except RegistryError as error:
                failure = error
        raise failure or absent


class _HeldBlob:
    """The question whether a repository has a blob; a no is an answer only if all say so."""

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor

    def __call__(self, repository: "Repository") -> bool:
        if not repository.has_blob(self._descriptor):
            raise NotFoundError(f"{repository.reference} has no {self._descriptor.digest}")
        return True


class OpenedImage(msgspec.Struct, frozen=True, kw_only=True):
    """A place to look into, the name in it, and what people call it."""

    source: Source
    name: str
    called: str


@contextlib.contextmanager
def opened(text: str, places: Places) -> Iterator[OpenedImage]:
    """The place of what `text` calls: an image of the store, by name or id, or of a registry; a layout; an archive.

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
                    "check the path; docker://NAME asks the registry of a name",
                ) from error
            if isinstance(error, UsageError):
                raise
            named, absent = None, error
        if named is not None:
            reference = references.parse(named.name) if named.name else None
            source = PeekSource(places.store, places.registry, reference, local=True)
            called = text if named.member is not None else names.familiar(named.name or text)
            yield OpenedImage(source=source, name=named.descriptor.digest, called=called)
            return
    location = location or locate.parse(text)
    if location.reference is not None:
        source = PeekSource(places.store, places.registry, location.reference, local=False)
        whole = location.kind == "registry"
        found = places.registry.repository(location.reference) if whole else source
        try:
            yield OpenedImage(source=found, name=location.reference.version, called=location.reference.familiar())
        except RegistryError as error:
            if absent is not None:
                error.hint = f"{absent.message}, so its registry was asked; {error.hint or absent.hint}"
            raise
        return
    with locate.opened(location, places) as place:
        yield OpenedImage(source=place.source, name=place.name, called=text)


def condition(source: Source, descriptor: Descriptor) -> Condition:
    """Whether a blob is there, and of the size that its descriptor says, as far as that is known without reading it."""
    if isinstance(source, Sized) and (size := source.blob_size(descriptor.digest)) is not None:
        return "whole" if size == descriptor.size else "of another size"
    if isinstance(source, Having):
        return "whole" if source.has_blob(descriptor) else "missing"
    if isinstance(source, Partial) and source.lacks(descriptor):
        return "missing"
    return "whole"


def _is_like_a_path(text: str) -> bool:
    """Whether what names nothing here was rather meant as an archive or a layout than as an image."""
    endings = (".tar", ".tgz", ".tzst", ".tar.gz", ".tar.zst", ".tar.xz", ".tar.bz2")
    return text.startswith(("/", "./", "../", "~")) or text.lower().endswith(("/", *endings))


def _is_path(text: str) -> bool:
    """Whether what people type is a layout or an archive that lies here: a name alone is an image's."""
    path = Path(text)
    try:
        return (path / "oci-layout").is_file() or (path.is_file() and ("/" in text or ".tar" in text))
    except OSError:
        return False
