"""An OCI image layout (image-spec, image-layout.md) as a place: a directory, or the same tree inside an archive."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from polyarch.errors import ConflictError, CorruptError, NotFoundError
from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import index as indexes
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index
from polyarch.oci.place import BlobReader, Readable
from polyarch.oci.verify import VerifyingReader, verified, verifying
from polyarch.transfer import names
from polyarch.transfer.names import NamedEntry, Names

MARKER = "oci-layout"
INDEX = "index.json"
VERSION = b'{"imageLayoutVersion":"1.0.0"}'
_CHUNK = 1 << 20


def blob_path(digest: Digest) -> str:
    """Where a blob lies in a layout. Only a real digest gives a path, so none leads out."""
    digests.parse(digest)
    return f"blobs/{digests.algorithm(digest)}/{digests.encoded(digest)}"


class OpenedLayout(Readable, Protocol):
    """The bytes of a file, not yet verified."""

    def close(self) -> None: ...


class LayoutFiles(Protocol):
    """A tree of files to read: a directory, or the members of an archive. Paths are relative, with slashes."""

    @property
    def where(self) -> str: ...
    def size(self, path: str) -> int | None: ...
    def signature(self, path: str) -> object: ...
    def open(self, path: str, offset: int = 0) -> OpenedLayout: ...
    def read(self, path: str, limit: int) -> bytes: ...


class LayoutSource:
    """A layout to read from: Source and Partial of `oci/place.py`. The files belong to whom gave them."""

    def __init__(self, files: LayoutFiles) -> None:
        self._files = files
        # What index.json said last, and of which file that was.
        self._known: tuple[object, Names] | None = None

    @property
    def where(self) -> str:
        """What to call it in a message."""
        return self._files.where

    def index(self) -> Index:
        """Its index.json. Raises NotFoundError if this is no layout, CorruptError."""
        return self._names().index

    def _names(self) -> Names:
        """index.json with its names, read anew only when it is another file."""
        signature = self._files.signature(INDEX)
        if signature is None:
            raise NotFoundError(f"{self.where} is not an OCI image layout: it has no {INDEX}")
        if self._known is None or self._known[0] != signature:
            index = documents.load(self._files.read(INDEX, documents.MAX_SIZE))
            if not isinstance(index, Index):
                raise CorruptError(f"{INDEX} of {self.where} is not an index")
            self._known = (signature, Names(index))
        return self._known[1]

    def images(self) -> tuple[NamedEntry, ...]:
        """The images at its top, in order; index.json itself where it lists one image's platforms without a name."""
        index = self.index()
        return (NamedEntry("", index.descriptor()),) if names.is_one_image(index) else names.entries(index)

    def resolve(self, name: str) -> Descriptor:
        """What a name in full, a ref name or any digest inside points at; the only image for an empty name.

        Raises NotFoundError that lists what there is.
        """
        known = self._names()
        if names.is_one_image(known.index) and name in ("", known.index.digest):
            return known.index.descriptor()
        if digests.is_digest(name) and name not in known:
            return self._inner(Digest(name))
        return known.find(name, self.where)

    def _inner(self, digest: Digest) -> Descriptor:
        size = self._files.size(blob_path(digest))
        if size is None:
            raise NotFoundError(f"{self.where} has no {digest}")
        raw = self._files.read(blob_path(digest), documents.MAX_SIZE)
        return Descriptor(media_type=documents.load(raw).media_type, digest=digest, size=size)

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """As of `place.Source`."""
        if self._files.size(path := blob_path(descriptor.digest)) is None and self.index().digest == descriptor.digest:
            return self.index().raw
        return verified(self._files.read(path, documents.MAX_SIZE), descriptor, self.where)

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """As of `place.Source`."""
        content = self._files.open(blob_path(descriptor.digest))
        return VerifyingReader(content, descriptor, content.close, self.where)

    def read_range(self, descriptor: Descriptor, offset: int, size: int) -> bytes:
        """As of `place.Ranged`."""
        with contextlib.closing(self._files.open(blob_path(descriptor.digest), offset)) as content:
            return content.read(size)

    def blob_size(self, digest: Digest) -> int | None:
        """How many bytes a blob has, whatever a descriptor says; None if there is none."""
        return self._files.size(blob_path(digest))

    def tags(self) -> tuple[str, ...]:
        """The names at its top, sorted."""
        return tuple(sorted({named.name for named in self.images() if named.name}))

    def lacks(self, descriptor: Descriptor) -> bool:
        """As of `place.Partial`."""
        return self._files.size(blob_path(descriptor.digest)) is None


class Directory:
    """The files of a directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def where(self) -> str:
        """The directory's path."""
        return str(self._root)

    def size(self, path: str) -> int | None:
        """The size of the file at `path`; None if there is none."""
        try:
            return (self._root / path).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def signature(self, path: str) -> object:
        """What is another value when another file is at `path`; None if there is none."""
        try:
            status = (self._root / path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def open(self, path: str, offset: int = 0) -> OpenedLayout:
        """The file at `path` from `offset` on, to be closed. Raises NotFoundError."""
        try:
            file = (self._root / path).open("rb")
            file.seek(offset)
            return file
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError(f"{self.where} has no {path}") from None

    def read(self, path: str, limit: int) -> bytes:
        """The file at `path`, whole. Raises NotFoundError, and CorruptError above `limit` bytes."""
        if (size := self.size(path)) is not None and size > limit:
            raise CorruptError(f"{path} in {self.where} has {size} bytes, more than the allowed {limit}")
        try:
            return (self._root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError(f"{self.where} has no {path}") from None


class OciLayout(LayoutSource):
    """A layout directory, to read and to write: also Target of `oci/place.py`.

    A blob is written to a file beside its place and renamed, so it is whole or absent; index.json is replaced
    under a lock on the marker file, so that several processes may write one layout.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(Directory(root))
        self._root = root

    @classmethod
    def create(cls, root: Path) -> "OciLayout":
        """The layout at `root`, made if there is none. Raises ConflictError if the directory holds other things."""
        layout = cls(root)
        if (root / MARKER).exists():
            return layout
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise ConflictError(f"{root} is neither an OCI image layout nor an empty directory", "name a new directory")
        (root / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        if not (root / INDEX).exists():
            _replace(root / INDEX, indexes.create().raw)
        _replace(root / MARKER, VERSION)
        return layout

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there, of the size that it should have."""
        return self._files.size(blob_path(descriptor.digest)) == descriptor.size

    def has_manifest(self, descriptor: Descriptor) -> bool:
        """As of `place.Target`."""
        return self.has_blob(descriptor)

    def write_blob(self, descriptor: Descriptor, content: Readable) -> None:
        """As of `place.Target`."""
        import threading

        path = self._root / blob_path(descriptor.digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        reader = verifying(content, descriptor)
        try:
            with partial.open("wb") as file:
                while chunk := reader.read(_CHUNK):
                    file.write(chunk)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def write_manifest(self, descriptor: Descriptor, raw: bytes, name: str | None = None) -> None:
        """As of `place.Target`; an empty name puts the image at the top without one."""
        verified(raw, descriptor)
        path = self._root / blob_path(descriptor.digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not self.has_blob(descriptor):
            _replace(path, raw)
        if name is not None:
            with self._locked():
                _replace(self._root / INDEX, names.give(self.index(), descriptor, name).raw)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        import fcntl

        with (self._root / MARKER).open("rb") as marker:
            fcntl.flock(marker, fcntl.LOCK_EX)
            yield


def open_layout(root: Path) -> OciLayout:
    """The layout at `root`, to read. Raises NotFoundError if there is none, CorruptError for one of another version."""
    marker = root / MARKER
    if not marker.is_file():
        raise NotFoundError(f"{root} is not an OCI image layout", f"a layout is a directory with {MARKER} and {INDEX}")
    try:
        version = msgspec.json.decode(marker.read_bytes(), type=dict[str, object]).get("imageLayoutVersion")
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CorruptError(f"{marker} is malformed: {error}") from error
    if not str(version).startswith("1."):
        raise CorruptError(f"{root} is an OCI image layout of version {version}, and only 1 is known")
    return OciLayout(root)


def _replace(path: Path, raw: bytes) -> None:
    import threading

    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        partial.write_bytes(raw)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
