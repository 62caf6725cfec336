"""Unpack layers on demand: the lower directories of a root filesystem, each made once and kept as a snapshot.

The key of a snapshot is its layer's diff id if the layer is complete in itself. A layer that has a file without its
parent directories takes those from the layers below, so its directory depends on the base: its key is the chain id. The
caller must have entered the sandbox's namespace; otherwise files would belong to the wrong ids.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.contents import listings
from polyarch.contents.layer import LayerBlob
from polyarch.errors import CorruptError
from polyarch.oci import digest as digests
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.place import BlobReader, Readable, Source
from polyarch.store import tables
from polyarch.store.tables import Table

if TYPE_CHECKING:
    from polyarch.layers.entry import Entry, Item
    from polyarch.layers.extract import LayerFiles
    from polyarch.layers.listing import Listing
    from polyarch.store import Store

_WORKERS = 4
_CHUNK = 1 << 20


class LayerShape(msgspec.Struct, frozen=True, array_like=True):
    """The properties of a layer that decide its key and place, remembered by diff id. `complete`: it needs nothing from
    the layers below, because it lists every parent and its hard links are to its own files. `root` is the root's (mode,
    uid, gid), None if the layer does not list it. `hides_all`: no file below it is visible. `device` is the path of a
    device node outside of /dev (each container has its own /dev), empty if there is none.
    """

    complete: bool
    root: tuple[int, int, int] | None
    hides_all: bool = False
    device: str = ""


# Built here, as in `layers.listing`: several threads may decode the first one at the same time.
_decode = msgspec.msgpack.Decoder(LayerShape).decode
_SHAPES: Table[Digest, LayerShape] = Table(tables.SHAPE, msgspec.msgpack.encode, _decode)


# The root directory of layers that do not list it: (mode, uid, gid).
_PLAIN_ROOT = (0o755, 0, 0)


def _is_missed(entry: "Entry") -> bool:
    return entry.kind in ("character", "block") and not entry.path.startswith("dev/")


class Unpacker:
    """Makes snapshots for one command, each once; safe from many threads. It owns only locks.

    `source` provides the blobs; `emit` reports each layer that is unpacked. `peek` opens a blob that is needed for its
    listing only, so that it is not written into the store.
    """

    def __init__(
        self,
        store: "Store",
        source: Source,
        emit: progress.Emit = progress.ignore,
        peek: Callable[[Descriptor], BlobReader] | None = None,
    ) -> None:
        self._store = store
        self._source = source
        self._peek = peek or source.open_blob
        self._emit = emit
        self._mutex = threading.Lock()
        self._busy: dict[str, threading.Lock] = {}
        self._warned: set[Digest] = set()
        self._listings: dict[Digest, Listing] = {}
        # The diff ids and blobs of which it is known that the blob has the content that the diff id says.
        self._verified: set[tuple[Digest, Digest]] = set()

    def lowers(self, layers: Sequence[LayerBlob]) -> tuple[str, ...]:
        """The directories of these layers in overlay's disk form, lowest first. Unpacks those that are not unpacked
        yet. Raises CorruptError for a layer that does not match its digest, NotFoundError or RegistryError if a blob is
        not available.
        """
        # The kernel's overlay cannot hide a whole root, so hidden layers are not mounted.
        seen = max((number for number, layer in enumerate(layers) if self._shape(layer).hides_all), default=0)
        layers = layers[seen:]
        self._warn_of_devices(layers)
        keys = self._keys(layers)
        found: list[str | None] = []
        for key in keys:
            path = self._store.snapshots.get(key)
            found.append(None if path is None else str(path))
        missing = {key: number for number, key in reversed(list(enumerate(keys))) if found[number] is None}
        made = self._each(lambda key: self._unpack(key, layers[: missing[key] + 1]), list(missing))
        return tuple(path if path is not None else made[key] for path, key in zip(found, keys, strict=True))

    def _warn_of_devices(self, layers: Sequence[LayerBlob]) -> None:
        """Warn once for each layer whose devices cannot be created, even if it was unpacked before."""
        from polyarch.layers.apply import DEVICES

        for layer in layers:
            device = self._shape(layer).device
            with self._mutex:
                known = not device or layer.diff_id in self._warned
                self._warned.add(layer.diff_id)
            if not known:
                self._emit(progress.Warned(f"layer {layer.blob.digest}: {DEVICES} (/{device})"))

    def listing(self, layer: LayerBlob) -> "Listing":
        """The shape of the layer: remembered, or else read from its blob, which also verifies the diff id."""
        with self._once(f"listing {layer.diff_id}"):
            known = self._listings.get(layer.diff_id)
            if known is None:
                known = self._listings[layer.diff_id] = self._read_listing(layer)
            return known

    def _read_listing(self, layer: LayerBlob) -> "Listing":
        known = listings.find(self._store, layer.diff_id)
        if known is not None:
            return known
        table = listings.find_table(self._store, layer.blob)
        if table is not None:
            with self._peek(layer.blob) as reader:
                found = listings.read_by_table(layer, reader, table, self._store)
            if found is not None:
                return found
        with self._peek(layer.blob) as reader:
            found = listings.read(layer, reader, self._store)
        self._verified.add((layer.diff_id, layer.blob.digest))
        return found

    def _keys(self, layers: Sequence[LayerBlob]) -> list[str]:
        chain = digests.chain_ids(tuple(layer.diff_id for layer in layers))
        keys: list[str] = []
        root = _PLAIN_ROOT
        for layer, chain_id in zip(layers, chain, strict=True):
            shape = self._shape(layer)
            # An overlay's root has the attributes of the topmost layer, or of those below if it does not list it.
            complete = shape.complete and (shape.root is not None or root == _PLAIN_ROOT)
            root = shape.root or root
            keys.append(layer.diff_id if complete else chain_id)
        return keys

    def _shape(self, layer: LayerBlob) -> LayerShape:
        known = _SHAPES.get(self._store.cache, layer.diff_id)
        if known is not None:
            return known
        listing = self.listing(layer)
        root = next((entry for entry in listing.entries if not entry.path), None)
        own = {entry.path for entry in listing.entries}
        foreign = any(entry.kind == "hardlink" and entry.link not in own for entry in listing.entries)
        shape = LayerShape(
            not listing.implicit_parents() and not foreign,
            (root.mode, root.uid, root.gid) if root else None,
            listing.hides_all,
            next((entry.path for entry in listing.entries if _is_missed(entry)), ""),
        )
        _SHAPES.put(self._store.cache, layer.diff_id, shape)
        return shape

    def _unpack(self, key: str, layers: Sequence[LayerBlob]) -> str:
        """The snapshot of the topmost of `layers`. Makes it unless another thread was faster."""
        from polyarch.layers.apply import DEVICES, apply
        from polyarch.layers.compression import decompress
        from polyarch.layers.diskform import OVERLAY

        layer = layers[-1]

        def note(reason: str) -> None:
            # Devices were reported before, for all layers.
            if not reason.startswith(DEVICES):
                self._emit(progress.Warned(f"layer {layer.blob.digest}: {reason}"))

        with self._once(key):
            path = self._store.snapshots.get(key)
            if path is not None:
                return str(path)
            unit = f"unpack {key}"
            self._emit(progress.Started(unit, f"unpack {layer.blob.digest}"))
            try:
                with self._store.snapshots.prepare(key) as snapshot, ExitStack() as opened:
                    below = None if key == layer.diff_id else _Below(self, layers[:-1], opened)
                    tar: Readable = decompress(
                        opened.enter_context(self._source.open_blob(layer.blob)), self._store.largest_layer
                    )
                    if not self._is_verified(layer):
                        # Others use this snapshot, too, which know the layer by its diff id.
                        tar = _Verified(tar, layer)
                    applied = apply(
                        tar,
                        str(snapshot.path),
                        OVERLAY,
                        below.entry if below else _nothing,
                        fetch=below.item if below else None,
                        note=note,
                    )
                    # The digest of a blob is known only after its last byte.
                    while tar.read(_CHUNK):
                        pass
                    made = str(snapshot.commit(applied.size))
            except Exception as error:
                self._emit(progress.failed(unit, error))
                raise
            self._emit(progress.Finished(unit))
            return made

    def _is_verified(self, layer: LayerBlob) -> bool:
        """Whether the blob is known to have the content that its diff id says: its listing was made of it."""
        if (layer.diff_id, layer.blob.digest) in self._verified:
            return True
        known = listings.find_blocks(self._store, layer.diff_id)
        return known is not None and known.blob == layer.blob.digest

    def files(self, layer: LayerBlob) -> "LayerFiles":
        """The files of a layer, to be read one by one; the caller closes it. Fetches a missing blob."""
        from polyarch.layers.extract import LayerFiles

        if not self._store.has_blob(layer.blob):
            self._source.open_blob(layer.blob).close()
        path = str(self._store.blob_path(layer.blob.digest))
        return LayerFiles(path, self.listing(layer), self._store.layout.temporary, layer.blob.digest)

    def _once(self, what: str) -> threading.Lock:
        with self._mutex:
            return self._busy.setdefault(what, threading.Lock())

    def _each(self, make: Callable[[str], str], keys: list[str]) -> dict[str, str]:
        if len(keys) < 2:
            return {key: make(key) for key in keys}
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(_WORKERS, len(keys)), thread_name_prefix="unpack") as pool:
            return dict(zip(keys, pool.map(make, keys), strict=True))


class _Verified:
    """The tar of a layer. At its end, raises CorruptError if it does not have the diff id. It owns nothing."""

    def __init__(self, tar: Readable, layer: LayerBlob) -> None:
        self._tar = tar
        self._layer = layer
        self._hash = digests.hasher(layer.diff_id)

    def read(self, size: int = -1, /) -> bytes:
        """Implements `place.Readable`."""
        chunk = self._tar.read(size)
        self._hash.update(chunk)
        if not chunk and size:
            found = f"{digests.algorithm(self._layer.diff_id)}:{self._hash.hexdigest()}"
            if found != self._layer.diff_id:
                raise CorruptError(
                    f"the layer {self._layer.blob.digest} is not what its image or build cache says: its tar has the "
                    f"digest {found}, not {self._layer.diff_id}",
                    "the image or the cache is damaged; pull or build it again",
                )
        return chunk


class _Below:
    """Looks up entries in the layers below, for a layer that is not complete. `opened` closes the files that it
    read.
    """

    def __init__(self, unpacker: Unpacker, layers: Sequence[LayerBlob], opened: ExitStack) -> None:
        from polyarch.layers.tree import Tree

        self._unpacker = unpacker
        self._layers = layers
        self._opened = opened
        self._tree = Tree([unpacker.listing(layer) for layer in layers])
        self._files: dict[int, LayerFiles] = {}

    def entry(self, path: str) -> "Entry | None":
        """The entry at a path: a parent with its mode and owner, or a link on the way."""
        node = self._tree.lookup(path)
        return None if node is None else node.entry

    def item(self, path: str) -> "Item | None":
        """The target of a hard link of the layer above."""
        node = self._tree.lookup(path)
        if node is None or node.layer < 0:
            return None
        if node.entry.kind != "file":
            return node.entry, None
        if node.layer not in self._files:
            self._files[node.layer] = self._opened.enter_context(self._unpacker.files(self._layers[node.layer]))
        files, source = self._files[node.layer], node.source
        return node.entry, lambda: files.open(source)


def _nothing(path: str) -> None:
    """A complete layer needs nothing from the layers below."""
