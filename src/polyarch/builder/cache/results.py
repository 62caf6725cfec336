"""A layer as the builder handles it: named by what is known of it, made into another form only when needed."""

from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from polyarch.builder.export.streaming import StreamedBlob, Uploads, no_upload
from polyarch.errors import CorruptError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest

if TYPE_CHECKING:
    from polyarch.layers.compression import Compression
    from polyarch.layers.entry import Item
    from polyarch.layers.reuse import ReusableBlocks
    from polyarch.store import Store

_PACKED = "packed"
_RESULT = "result"


class Layer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One changeset. `created` is when it was made (RFC 3339), empty for a base image's.

    It is a blob (`diff_id` and `blob` are set), or an unpacked directory in overlay's form under the key `snapshot`,
    or both. A RUN's layer is only the latter until it is exported, and then `is_bare`: its files have their owners
    only inside the user namespace. `notes` are what to warn of whenever the layer is used: (name of a rule, message).
    """

    created: str = ""
    diff_id: Digest = Digest("")
    blob: Descriptor | None = None
    snapshot: str = ""
    notes: tuple[tuple[str, str], ...] = ()

    @property
    def is_bare(self) -> bool:
        """Whether there is only the unpacked directory."""
        return self.blob is None

    @property
    def key(self) -> str:
        """What tells it from other layers."""
        return self.diff_id or self.snapshot


# Worked out here, as in `layers.listing`: several threads may be the first to decode one.
msgspec.json.Decoder(Layer)


def encode(layer: Layer) -> bytes:
    """The record that the cache keeps."""
    return msgspec.json.encode(layer)


def decode(raw: bytes) -> Layer:
    """The layer in a record of the cache. Raises CorruptError for one of another version."""
    try:
        return msgspec.json.decode(raw, type=Layer)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CorruptError(f"a cached result is malformed: {error}") from error


def remembered(store: "Store", kind: str, key: str) -> Layer | None:
    """The layer that the cache has under a key; None for none, and for a record of another version."""
    raw = store.cache.get(kind, key)
    try:
        return None if raw is None else decode(raw)
    except CorruptError:
        return None


def pack(
    store: "Store",
    items: "Iterable[Item]",
    compression: "Compression",
    workers: int,
    like: Layer | None = None,
    uploads: Uploads = no_upload,
) -> Layer:
    """Make the blob of a layer in one pass, and remember its listing. Raises what `layers.pack` raises.

    `like` is a layer of the same compression that may have blocks in common with it; `uploads` as of `streaming`.
    """
    from polyarch.layers.pack import pack as pack_items

    with StreamedBlob(store, uploads) as writer, ExitStack() as opened:
        known = opened.enter_context(found) if (found := _blocks(store, like, compression)) else None
        packed = pack_items(items, writer, compression, workers, known)
        writer.keep(packed.digest)
    store.cache.put("listing", packed.diff_id, packed.encoded)
    return Layer(diff_id=packed.diff_id, blob=packed.descriptor())


def _blocks(store: "Store", like: Layer | None, compression: "Compression") -> "ReusableBlocks | None":
    if like is None or like.blob is None or compression.kind != "gzip" or not store.has_blob(like.blob):
        return None
    from polyarch.layers.listing import decode_blocks
    from polyarch.layers.reuse import ReusableBlocks

    raw = store.cache.get("listing", like.diff_id)
    try:
        if raw is None or (listing := decode_blocks(raw)).blob != like.blob.digest:
            return None
        return ReusableBlocks(str(store.blob_path(like.blob.digest)), like.blob.size, listing)
    except (CorruptError, FileNotFoundError):
        return None


def packed(store: "Store", layer: Layer, compression: "Compression") -> Layer | None:
    """The blob that a snapshot was packed to before, if that is remembered."""
    raw = store.cache.get(_PACKED, f"{layer.snapshot} {compression.tag()}")
    if raw is None:
        return None
    known = decode(raw)
    return msgspec.structs.replace(known, created=layer.created)


def remember_packed(store: "Store", layer: Layer, compression: "Compression", blob: Layer) -> None:
    """Remember what the snapshot of `layer` was packed to."""
    store.cache.put(_PACKED, f"{layer.snapshot} {compression.tag()}", encode(blob))


def find_result(store: "Store", key: str, compression: "Compression") -> Layer | None:
    """The layer that an earlier run made under a cache key, if one of its forms is still there."""
    found = remembered(store, _RESULT, key)
    if found is None:
        return None
    if found.blob is not None:
        return found if store.has_blob(found.blob) else None
    unpacked = store.snapshots.get(found.snapshot) is not None
    again = packed(store, found, compression)
    if again is not None and again.blob and store.has_blob(again.blob):
        # Both forms: whoever reads it need not enter the namespace, whoever mounts it need not unpack it.
        again = msgspec.structs.replace(again, notes=found.notes)
        return msgspec.structs.replace(again, snapshot=found.snapshot) if unpacked else again
    return found if unpacked else None


def keep_result(store: "Store", key: str, layer: Layer) -> None:
    """Remember what was made under a cache key."""
    store.cache.put(_RESULT, key, encode(layer))
