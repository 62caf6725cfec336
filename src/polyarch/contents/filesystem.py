"""A stage's file system in any form: as listings, as a tree, as files to read, as directories.

Each form of a layer is made from another when it is first needed, once for each command: a listing from a blob or from
an unpacked directory, a directory from a blob, a file's bytes from either.

If a layer is only in a registry, and its manifest says where its table of contents is, only the table is read. The
table decides where a copy is placed. As soon as the layer itself is read, the table is compared with it. A false table
gives an attacker nothing: the author of the layer could have put the files elsewhere anyway. For the same reason, the
diff id of a layer without a table is only verified when its files are used.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from polyarch.contents import listings
from polyarch.contents.layer import Layer
from polyarch.contents.stack import Stack
from polyarch.contents.unpack import Unpacker
from polyarch.errors import CorruptError, NotFoundError, PolyarchError
from polyarch.layers.entry import Content, Item
from polyarch.oci import layer_table
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.place import Readable

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from polyarch.contents.unpacked import UnpackedLayer
    from polyarch.layers.extract import LayerFiles
    from polyarch.layers.listing import ListedEntry, Listing
    from polyarch.layers.tree import Flattened, Tree
    from polyarch.store import Store
    from polyarch.transfer.read_through import ReadThroughSource

_T = TypeVar("_T")
_PREFETCHING = 4
# The passwd file of an image is not trusted: at most this much is read.
_LONGEST_TEXT = 16 << 20
# How many trees a lookup may go through: far below Python's limit of recursion.
_DEEPEST = 50


class Filesystems:
    """The layers of one build in each form; safe from many threads.

    It owns the files that it opened for reading blobs, until `close`. `scratch` is a directory for spooled blobs.
    """

    def __init__(self, store: "Store", source: "ReadThroughSource", unpacker: Unpacker, scratch: Path) -> None:
        self._store = store
        self._source = source
        self._unpacker = unpacker
        self._scratch = scratch
        self._mutex = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._snapshots: dict[str, UnpackedLayer] = {}
        self._trees: dict[str, Flattened] = {}
        self._wholes: dict[str, Tree] = {}
        self._directories: dict[str, Path] = {}
        self._files: dict[str, LayerFiles] = {}
        self._tables: dict[str, Listing | None] = {}
        self._unverified = False
        self._prefetching: Executor | None = None

    def close(self) -> None:
        """Close what was opened for reading."""
        if self._prefetching is not None:
            self._prefetching.shutdown(cancel_futures=True)
        for files in self._files.values():
            files.close()
        self._files.clear()

    def prefetch(self, layers: Iterable[Layer]) -> None:
        """Begin to make the missing listings in separate threads. A failure there is not reported: it happens again
        when the listing is needed.

        This is for a build that only asks where its copies go. A layer without a table of contents is then read without
        verifying its diff id, which takes a quarter of the time. That is done when its files are used.
        """
        self._unverified = True
        unlisted = [layer for layer in layers if layer.blob and not self._is_listed(layer, layer.blob)]
        if unlisted:
            from concurrent.futures import ThreadPoolExecutor

            if self._prefetching is None:
                self._prefetching = ThreadPoolExecutor(min(len(unlisted), _PREFETCHING), thread_name_prefix="list")
            for layer in unlisted:
                self._prefetching.submit(self.listing, layer)

    def _is_listed(self, layer: Layer, blob: Descriptor) -> bool:
        place = layer_table.find(blob)
        known = listings.is_toc_known(self._store, blob.digest if place is None else place.digest)
        return known or listings.is_known(self._store, layer.diff_id)

    def tree(self, stack: Stack | None) -> "Flattened":
        """The flattened file system of these layers, made from that of the layers below, which often exists already.

        A layer that is only unpacked is not listed for it, but read where it is needed.
        """
        return self._flattened(stack, self._trees, self._tree)

    def _whole(self, stack: Stack | None) -> "Tree":
        """The same from the listings of all layers."""
        return self._flattened(stack, self._wholes, self._listed)

    def _flattened(
        self, stack: Stack | None, known: "Mapping[str, _F]", make: "Callable[[Stack, _F | Tree], _F]"
    ) -> "_F | Tree":
        from polyarch.layers.tree import Tree

        above: list[Stack] = []
        while stack is not None and stack.key not in known:
            above.append(stack)
            stack = stack.below
        tree = Tree() if stack is None else known[stack.key]
        for one in reversed(above):
            tree = make(one, tree)
        return tree

    def _tree(self, stack: Stack, below: "Flattened") -> "Flattened":
        return self._once(f"tree {stack.key}", self._trees, stack.key, lambda: self._on_top(stack, below))

    def _on_top(self, stack: Stack, below: "Flattened") -> "Flattened":
        from polyarch.layers.tree import Tree

        if below.depth >= _DEEPEST:
            return self._whole(stack)
        if _is_unpacked(stack.layer):
            snapshot = self._snapshot(stack.layer)
            if not snapshot.is_listed or below.depth:
                from polyarch.contents.unpacked import UnpackedTree

                return UnpackedTree(snapshot, below, lambda: self._whole(stack))
        listing = self.listing(stack.layer)
        if not isinstance(below, Tree):
            return Tree([listing], below)
        tree = below.with_layer(listing)
        return tree if tree.depth else self._wholes.setdefault(stack.key, tree)

    def _listed(self, stack: Stack, below: "Tree") -> "Tree":
        def make() -> "Tree":
            return below.with_layer(self.listing(stack.layer))

        return self._once(f"whole {stack.key}", self._wholes, stack.key, make)

    def listing(self, layer: Layer) -> "Listing":
        """The listing of a layer, from the layer itself or from its table of contents."""
        if _is_unpacked(layer):
            return self._snapshot(layer).listing
        return self._table(layer) or self._unpacker.listing(layer.as_blob())

    def _table(self, layer: Layer) -> "Listing | None":
        """The listing of a layer that is only in a registry, as its author claims; None if it is not available.

        It is the layer's table of contents, or in a build without RUN the content of its blob, without the diff id.
        """
        assert layer.blob is not None
        blob = layer.blob
        place = layer_table.find(blob)
        if place is None and not self._unverified:
            return None

        def read() -> "Listing | None":
            if listings.is_known(self._store, layer.diff_id) or self._store.has_blob(blob):
                return None
            known = listings.find_toc(self._store, blob.digest if place is None else place.digest)
            if known is not None:
                return known
            try:
                if place is None:
                    with self._source.peek(blob) as reader:
                        return listings.read_unverified(blob, reader, self._store)
                from polyarch.layers import toc

                table, offset = place.within(blob)
                listing, encoded = toc.unpack(self._source.read_range(table, offset, place.size), place, blob)
            except PolyarchError:
                # Whatever failed, the layer itself can be read instead, and that reports its own failure.
                return None
            listings.remember_toc(self._store, place.digest, encoded)
            return listing

        return self._once(f"table {layer.key}", self._tables, layer.key, read)

    def _check(self, layer: Layer) -> "Listing":
        """The listing of the layer itself. Raises CorruptError if its table of contents differs."""
        assert layer.blob is not None
        listing = self._unpacker.listing(layer.as_blob())
        table = self._tables.get(layer.key)
        if table is not None and (table.entries, table.texts) != (listing.entries, listing.texts):
            raise CorruptError(
                f"the layer {layer.blob.digest} does not match the table of contents in {layer_table.ANNOTATION}",
                "the image is damaged or was tampered with: do not use it",
            )
        return listing

    def items(self, layer: Layer) -> Iterator[Item]:
        """The entries of an unpacked layer and where their bytes are, in the order of a tar."""
        snapshot = self._snapshot(layer)
        return ((entry, snapshot.content(entry)) for entry in snapshot.listing.entries)

    def content(self, owner: Layer, entry: "ListedEntry") -> Content:
        """The location of the bytes of a file of a layer."""
        if _is_unpacked(owner):
            found = self._snapshot(owner).content(entry)
            if found is None:
                raise NotFoundError(f"/{entry.path} is not in the layer that lists it")
            return found
        files = self._once(f"files {owner.key}", self._files, owner.key, lambda: self._open(owner))
        return lambda: files.open(entry)

    def text(self, stack: Stack | None, path: str) -> str | None:
        """The text of a small file of the flattened layers, symbolic links followed; None where there is no file.

        A listing keeps a few such files (`listing.KEPT`); any other, and those of an unpacked layer, are read from the
        layer. At most 16 MiB of a file are read.
        """
        tree = self.tree(stack)
        node = tree.lookup(tree.resolve(path))
        if stack is None or node is None or node.layer < 0 or node.entry.kind != "file":
            return None
        layer = stack.at(node.layer)
        raw = None if _is_unpacked(layer) else self.listing(layer).texts.get(node.source.path)
        if raw is None:
            from polyarch.layers.content import open_content

            with open_content(node.source, self.content(layer, node.source)) as reader:
                raw = _beginning(reader)
        return raw.decode("utf-8", "surrogateescape")

    def lowers(self, layers: Sequence[Layer]) -> tuple[str, ...]:
        """The layers as directories in overlay's form, lowest first. Unpacks those that are not unpacked yet. The blobs
        of a base are unpacked as one stack. Above a snapshot there are only layers of this builder, which list every
        parent, so each can be unpacked alone.
        """
        first = next((number for number, layer in enumerate(layers) if layer.snapshot), len(layers))
        found = list(self._unpacker.lowers([layer.as_blob() for layer in layers[:first]]))
        for layer in layers[:first]:
            if layer.key in self._tables:
                self._check(layer)
        for layer in layers[first:]:
            if not layer.snapshot:
                found.extend(self._unpacker.lowers([layer.as_blob()]))
            else:
                found.append(str(self._directory(layer)))
        return tuple(found)

    def _directory(self, layer: Layer) -> Path:
        # A snapshot that was found is leased and stays. Hundreds of steps may each ask for all layers below them.
        path = self._directories.get(layer.snapshot) or self._store.snapshots.get(layer.snapshot)
        if path is None:
            raise NotFoundError(f"the snapshot {layer.snapshot} is gone", "run the build again")
        self._directories[layer.snapshot] = path
        return path

    def _snapshot(self, layer: Layer) -> "UnpackedLayer":
        def make() -> "UnpackedLayer":
            from polyarch.contents.unpacked import UnpackedLayer

            return UnpackedLayer(str(self._directory(layer)))

        return self._once(f"snapshot {layer.key}", self._snapshots, layer.key, make)

    def _open(self, layer: Layer) -> "LayerFiles":
        from polyarch.layers.extract import LayerFiles

        assert layer.blob is not None
        if not self._store.has_blob(layer.blob):
            self._source.fetch(layer.blob)
        path = str(self._store.blob_path(layer.blob.digest))
        return LayerFiles(path, self._check(layer), str(self._scratch), layer.blob.digest)

    def _once(self, name: str, known: "dict[_K, _T]", key: "_K", make: Callable[[], _T]) -> _T:
        with self._mutex:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            if key not in known:
                known[key] = make()
            return known[key]


_K = TypeVar("_K")
_F = TypeVar("_F", bound="Flattened")


def _is_unpacked(layer: Layer) -> bool:
    """Whether the layer is only an unpacked directory."""
    return not layer.diff_id or layer.blob is None


def _beginning(reader: Readable) -> bytes:
    parts: list[bytes] = []
    left = _LONGEST_TEXT
    while left and (chunk := reader.read(left)):
        parts.append(chunk)
        left -= len(chunk)
    return b"".join(parts)
