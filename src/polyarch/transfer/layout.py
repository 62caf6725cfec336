"""An OCI image layout (image-spec, image-layout.md) as a place: a directory, or the same tree inside an archive."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from polyarch.errors import ConflictError, CorruptError, NotFoundError
from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import index as indexes
from polyarch.oci import referrer
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.oci.place import BlobReader, Readable
from polyarch.oci.verify import VerifyingReader, verified, verifying
from polyarch.transfer import names
from polyarch.transfer.names import NamedEntry, Names

MARKER = "oci-layout"
INDEX = "index.json"
VERSION = b'{"imageLayoutVersion":"1.0.0"}'
_CHUNK = 1 << 20


def blob_path(digest: Digest) -> str:
    """The path of a blob in a layout. Raises for an invalid digest, which could lead out of the layout."""
    digests.parse(digest)
    return f"blobs/{digests.algorithm(digest)}/{digests.encoded(digest)}"


class OpenedLayout(Readable, Protocol):
    """The bytes of a file, not verified."""

    def close(self) -> None: ...


class LayoutFiles(Protocol):
    """A tree of files for reading: a directory, or the members of an archive. Paths are relative, with slashes."""

    @property
    def where(self) -> str: ...
    def size(self, path: str) -> int | None: ...
    def signature(self, path: str) -> object: ...
    def open(self, path: str, offset: int = 0) -> OpenedLayout: ...
    def read(self, path: str, limit: int) -> bytes: ...


class LayoutSource:
    """A layout for reading: Source, Partial and Referring of `oci/place.py`. The caller owns the files."""

    def __init__(self, files: LayoutFiles) -> None:
        self._files = files
        # The names in index.json when it was last read, and the signature of that file.
        self._known: tuple[object, Names] | None = None
        # The referrers for these names.
        self._about: tuple[Names, dict[Digest, tuple[Descriptor, ...]]] | None = None

    @property
    def where(self) -> str:
        """The name for messages."""
        return self._files.where

    def index(self) -> Index:
        """The index.json. Raises NotFoundError if this is not a layout, CorruptError."""
        return self._names().index

    def _names(self) -> Names:
        """The names in index.json, which is read again only if the file has changed."""
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
        """The images in index.json, in order; index.json itself if it lists the platforms of one unnamed image.

        Manifests about another one in the layout are not images: see `referrers`.
        """
        index = self.index()
        if names.is_one_image(index):
            return (NamedEntry("", index.descriptor()),)
        about = {entry.digest for entries in self._referring().values() for entry in entries}
        return tuple(
            named
            for named, entry in zip(names.entries(index), index.manifests, strict=True)
            if not names.is_referrer(entry) and (named.name or named.descriptor.digest not in about)
        )

    def resolve(self, name: str) -> Descriptor:
        """The image with this full name, ref name or digest; for an empty name, the only image.

        Raises NotFoundError that lists the names.
        """
        known = self._names()
        if names.is_one_image(known.index) and name in ("", known.index.digest):
            return known.index.descriptor()
        if digests.is_digest(name) and name not in known:
            return self._inner(Digest(name))
        return known.find(name, self.where)

    def referrers(self, subject: Digest) -> tuple[Descriptor, ...]:
        """See `place.Referring`: the manifests in index.json about `subject`."""
        return self._referring().get(subject, ())

    def _referring(self) -> dict[Digest, tuple[Descriptor, ...]]:
        """The manifests in index.json about others that the layout has, by the digest of those."""
        from polyarch.transfer.listed import referring

        known = self._names()
        if self._about is None or self._about[0] is not known:
            self._about = (known, referring(known.index, self._document))
        return self._about[1]

    def _document(self, digest: Digest) -> Manifest | Index | None:
        """A manifest; None if the layout does not have it, or if it cannot be read."""
        path = blob_path(digest)
        if self._files.size(path) is None:
            return None
        with contextlib.suppress(CorruptError, NotFoundError):
            return documents.load(self._files.read(path, documents.MAX_SIZE))
        return None

    def _inner(self, digest: Digest) -> Descriptor:
        size = self._files.size(blob_path(digest))
        if size is None:
            raise NotFoundError(f"{self.where} has no {digest}")
        raw = self._files.read(blob_path(digest), documents.MAX_SIZE)
        return Descriptor(media_type=documents.load(raw).media_type, digest=digest, size=size)

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """See `place.Source`."""
        if self._files.size(path := blob_path(descriptor.digest)) is None and self.index().digest == descriptor.digest:
            return self.index().raw
        return verified(self._files.read(path, documents.MAX_SIZE), descriptor, self.where)

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """See `place.Source`."""
        content = self._files.open(blob_path(descriptor.digest))
        return VerifyingReader(content, descriptor, content.close, self.where)

    def read_range(self, descriptor: Descriptor, offset: int, size: int) -> bytes:
        """See `place.Ranged`."""
        with contextlib.closing(self._files.open(blob_path(descriptor.digest), offset)) as content:
            return content.read(size)

    def blob_size(self, digest: Digest) -> int | None:
        """The actual size of a blob in bytes; None if it does not exist."""
        return self._files.size(blob_path(digest))

    def tags(self) -> tuple[str, ...]:
        """The names in index.json, sorted."""
        return tuple(sorted({named.name for named in self.images() if named.name}))

    def lacks(self, descriptor: Descriptor) -> bool:
        """See `place.Partial`."""
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
        """A value that changes when the file at `path` changes; None if there is none."""
        try:
            status = (self._root / path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def open(self, path: str, offset: int = 0) -> OpenedLayout:
        """The content of the file at `path` from `offset`; the caller closes it. Raises NotFoundError."""
        try:
            file = (self._root / path).open("rb")
            file.seek(offset)
            return file
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError(f"{self.where} has no {path}") from None

    def read(self, path: str, limit: int) -> bytes:
        """The content of the file at `path`. Raises NotFoundError, CorruptError for more than `limit` bytes."""
        if (size := self.size(path)) is not None and size > limit:
            raise CorruptError(f"{path} in {self.where} has {size} bytes, more than the allowed {limit}")
        try:
            return (self._root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError(f"{self.where} has no {path}") from None


class OciLayout(LayoutSource):
    """A layout directory for reading and writing: also Target and Attachable of `oci/place.py`.

    A blob is written to a temporary file in the same directory and renamed, so it is complete or does not exist.
    index.json is replaced under a lock on the marker file, so that several processes can write to one layout.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(Directory(root))
        self._root = root

    @classmethod
    def create(cls, root: Path) -> "OciLayout":
        """The layout at `root`, created if there is none. Raises ConflictError if the directory has other content."""
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
        """Whether the blob exists and has the right size."""
        return self._files.size(blob_path(descriptor.digest)) == descriptor.size

    def has_manifest(self, descriptor: Descriptor) -> bool:
        """See `place.Target`."""
        return self.has_blob(descriptor)

    def write_blob(self, descriptor: Descriptor, content: Readable) -> None:
        """See `place.Target`."""
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
        """See `place.Target`. An empty name adds the image to index.json without a name."""
        verified(raw, descriptor)
        path = self._root / blob_path(descriptor.digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not self.has_blob(descriptor):
            _replace(path, raw)
        if name is not None:
            with self._locked():
                _replace(self._root / INDEX, names.give(self.index(), descriptor, name).raw)

    def write_referrers(self, subject: Digest, documents: Sequence[Manifest | Index]) -> None:
        """See `place.Attachable`."""
        for document in documents:
            self.write_manifest(document.descriptor(), document.raw)
        entries = [referrer.entry(document) for document in documents]
        with self._locked():
            _replace(self._root / INDEX, names.refer(self.index(), subject, entries).raw)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        import fcntl

        with (self._root / MARKER).open("rb") as marker:
            fcntl.flock(marker, fcntl.LOCK_EX)
            yield


def open_layout(root: Path) -> OciLayout:
    """Open the layout at `root` for reading. Raises NotFoundError, CorruptError for another version."""
    marker = root / MARKER
    if not marker.is_file():
        raise NotFoundError(f"{root} is not an OCI image layout", f"a layout is a directory with {MARKER} and {INDEX}")
    try:
        version = msgspec.json.decode(marker.read_bytes(), type=dict[str, object]).get("imageLayoutVersion")
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CorruptError(f"{marker} is malformed: {error}") from error
    if not str(version).startswith("1."):
        raise CorruptError(f"{root} is an OCI image layout of version {version}; only version 1 is supported")
    return OciLayout(root)


def _replace(path: Path, raw: bytes) -> None:
    import threading

    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        partial.write_bytes(raw)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
