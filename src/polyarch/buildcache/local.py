"""`type=local`: a cache in a directory, as an OCI image layout whose index.json names the cache's index by its tag.

Writers of one directory take turns: a lock on `blobs/` covers the time from reading the index to replacing it. A lock
on `blobs/sha256/` is held, shared, while blobs are there that no index names yet; `reset` takes it alone.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from polyarch.buildcache import documents
from polyarch.buildcache.carrier import Attributes, Change
from polyarch.buildcache.once import Once
from polyarch.buildcache.values import PlatformCache
from polyarch.errors import ConflictError, CorruptError, NotFoundError, PolyarchError
from polyarch.oci import document as oci_documents
from polyarch.oci import layer_table, media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Index, Manifest
from polyarch.oci.place import BlobReader, Readable
from polyarch.oci.platform import Platform
from polyarch.transfer.layout import OciLayout, open_layout


class LocalCarrier:
    """Implements `Carrier` and `place.Ranged`. It owns an open directory, which it holds a lock on, until `close`."""

    def __init__(self, attributes: Attributes) -> None:
        self._path = Path(attributes.get("dest") or attributes["src"])
        self._tag = attributes.get("tag") or "latest"
        self._name = attributes.get("digest") or self._tag
        self._resets = attributes.get("reset", "").lower() in ("1", "t", "true")
        self._mutex = threading.Lock()
        self._root = Once(self._read_root)
        self._caches: dict[Platform, PlatformCache | None] = {}
        self._layout: OciLayout | None = None
        self._writing: int | None = None

    @property
    def where(self) -> str:
        """Implements `Carrier`."""
        return str(self._path)

    def platforms(self) -> tuple[Platform, ...]:
        """Implements `Carrier`."""
        return tuple(documents.entries(self._root.get()))

    def may_have(self, platform: Platform, key: str) -> bool:
        """Implements `Carrier`."""
        entry = documents.entries(self._root.get()).get(platform)
        return entry is not None and documents.may_have(entry, key)

    def read(self, platform: Platform) -> PlatformCache | None:
        """Implements `Carrier`."""
        root = self._root.get()
        with self._mutex, self._explained("read"):
            if platform not in self._caches:
                self._caches[platform] = self._read(open_layout(self._path), root, platform)
            return self._caches[platform]

    def write(self, platform: Platform, change: Change) -> PlatformCache:
        """Implements `Carrier`."""
        layout = self._open_for_writing()
        with self._explained(), _locked(self._path / "blobs"):
            root = self._replaceable(layout)
            others = documents.entries(root) if root is not None else {}
            known = None
            if root is not None:
                with contextlib.suppress(CorruptError, NotFoundError):
                    known = self._read(layout, root, platform)
            cache = change(known)
            encoded = documents.encode(cache)
            entry = documents.entry(encoded, cache, platform)
            if others.get(platform) != entry:
                for descriptor, raw in (
                    (encoded.config, encoded.content),
                    (encoded.manifest.descriptor(), encoded.manifest.raw),
                ):
                    layout.write_manifest(descriptor, raw)
                index = documents.create_index({**others, platform: entry}.values())
                layout.write_manifest(index.descriptor(), index.raw, self._tag)
            if self._resets:
                self._reset(layout)
        self._root.forget()
        with self._mutex:
            self._caches.clear()
        return cache

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Implements `Carrier`."""
        return self._open_for_writing().has_blob(descriptor)

    def write_blob(self, descriptor: Descriptor, content: Readable) -> None:
        """Implements `Carrier`."""
        layout = self._open_for_writing()
        with self._explained():
            layout.write_blob(descriptor, content)

    def recorded(self, descriptor: Descriptor) -> Descriptor:
        """Implements `Carrier`."""
        return descriptor

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """Implements `Carrier`."""
        with self._explained("read"):
            return open_layout(self._path).open_blob(descriptor)

    def read_range(self, descriptor: Descriptor, offset: int, size: int) -> bytes:
        """Implements `place.Ranged`."""
        with self._explained("read"):
            return open_layout(self._path).read_range(descriptor, offset, size)

    def close(self) -> None:
        """Implements `Carrier`."""
        with self._mutex:
            if self._writing is not None:
                os.close(self._writing)
                self._writing = None

    @contextlib.contextmanager
    def _explained(self, verb: str = "write") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise PolyarchError(f"cannot {verb} the cache {self._path}: {error.strerror or error}") from error

    def _open_for_writing(self) -> OciLayout:
        """The layout, in which no other process removes blobs until `close`."""
        import fcntl

        with self._mutex, self._explained():
            if self._layout is None:
                self._path.mkdir(parents=True, exist_ok=True)
                with _locked(self._path):
                    layout = OciLayout.create(self._path)
                blobs = self._path / "blobs" / "sha256"
                self._writing = os.open(blobs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                fcntl.flock(self._writing, fcntl.LOCK_SH)
                self._layout = layout
            return self._layout

    def _read_root(self) -> Index:
        """The cache's index."""
        with self._explained("read"):
            layout = self._open_for_reading()
            raw = layout.read_manifest(layout.resolve(self._name))
        document = oci_documents.load(raw)
        documents.require_ours(document, self.where)
        if not isinstance(document, Index):
            raise CorruptError(f"{self.where}: {self._name} is the cache of one platform, not an index")
        return document

    def _open_for_reading(self) -> OciLayout:
        """The layout. Raises NotFoundError if nothing is there yet, CorruptError if something else is."""
        try:
            return open_layout(self._path)
        except NotFoundError as error:
            if not self._path.exists():
                raise NotFoundError(
                    f"{self._path} does not exist", "--cache-to type=local,dest=DIRECTORY makes it"
                ) from error
            if self._path.is_dir() and not any(self._path.iterdir()):
                raise NotFoundError(
                    f"{self._path} is empty", "--cache-to type=local,dest=DIRECTORY fills it"
                ) from error
            raise CorruptError(error.message, error.hint) from error

    def _replaceable(self, layout: OciLayout) -> Index | None:
        """The current index of the cache; None if there is none, or one of BuildKit or a damaged one, which is
        replaced. Raises ConflictError for an image, or a cache of a newer format.
        """
        try:
            document = oci_documents.load(layout.read_manifest(layout.resolve(self._tag)))
        except (NotFoundError, CorruptError):
            return None
        kind = documents.kind_of(document)
        if kind not in ("ours", "buildkit"):
            what = "is an image" if kind == "image" else documents.described(kind)
            raise ConflictError(
                f"{self._tag} in {self.where} {what}, and a cache does not replace it", "choose another tag="
            )
        return document if kind == "ours" and isinstance(document, Index) else None

    def _read(self, layout: OciLayout, root: Index, platform: Platform) -> PlatformCache | None:
        entry = documents.entries(root).get(platform)
        if entry is None:
            return None
        manifest = oci_documents.load(layout.read_manifest(entry), entry.media_type)
        if not isinstance(manifest, Manifest):
            raise CorruptError(f"{self.where}: an index is where the cache of {platform} should be")

        def read(config: Descriptor) -> bytes:
            with layout.open_blob(config) as reader:
                return reader.read()

        cache = documents.decode(manifest, read)
        return documents.with_blobs(cache, layout.has_blob)

    def _reset(self, layout: OciLayout) -> None:
        """Remove the blobs that nothing in index.json names, unless another process is writing blobs."""
        import fcntl

        assert self._writing is not None
        try:
            fcntl.flock(self._writing, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        try:
            named = _reachable(layout)
            for algorithm in (self._path / "blobs").iterdir():
                for file in algorithm.iterdir():
                    if f"{algorithm.name}:{file.name}" not in named:
                        file.unlink(missing_ok=True)
        finally:
            fcntl.flock(self._writing, fcntl.LOCK_SH)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    import fcntl

    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _reachable(layout: OciLayout) -> set[str]:
    """The digests of everything that index.json names, directly or not."""
    found: set[str] = set()
    pending = [entry.descriptor for entry in layout.images()]
    while pending:
        descriptor = pending.pop()
        if descriptor.digest in found:
            continue
        found.add(descriptor.digest)
        if descriptor.media_type not in media_types.INDEXES | media_types.MANIFESTS:
            continue
        with contextlib.suppress(PolyarchError):
            document = oci_documents.load(layout.read_manifest(descriptor), descriptor.media_type)
            if isinstance(document, Index):
                pending += document.manifests
            else:
                pending += (document.config, *document.layers, *layer_table.tables_of(document))
    return found
