"""A layer as the builder handles it: named by what is known of it, made into another form only when needed."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from polyarch.errors import CorruptError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest

if TYPE_CHECKING:
    from polyarch.layers.compression import Compression
    from polyarch.layers.entry import Item
    from polyarch.store import Store

_PACKED = "packed"


class Layer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One changeset. `created` is when it was made (RFC 3339), empty for a base image's.

    It is a blob (`diff_id` and `blob` are set), or an unpacked directory in overlay's form under the key
    `snapshot`, whose diff id nobody needed yet: a RUN's layer becomes a blob only when it is exported.
    """

    created: str = ""
    diff_id: Digest = Digest("")
    blob: Descriptor | None = None
    snapshot: str = ""

    @property
    def key(self) -> str:
        """What tells it from other layers."""
        return self.diff_id or self.snapshot


def encode(layer: Layer) -> bytes:
    """The record that the cache keeps."""
    return msgspec.json.encode(layer)


def decode(raw: bytes) -> Layer:
    """The layer in a record of the cache. Raises CorruptError for one of another version."""
    try:
        return msgspec.json.decode(raw, type=Layer)
    except msgspec.DecodeError as error:
        raise CorruptError(f"a cached result is malformed: {error}") from error


def pack(store: "Store", items: "Iterable[Item]", compression: "Compression", workers: int) -> Layer:
    """Make the blob of a layer in one pass, and remember its listing. Raises what `layers.pack` raises."""
    from polyarch.layers.pack import pack as pack_items

    with store.new_blob() as writer:
        packed = pack_items(items, writer, compression, workers)
        writer.commit(packed.digest)
    store.cache.put("listing", packed.diff_id, packed.listing.encode())
    blob = Descriptor(media_type=packed.media_type, digest=packed.digest, size=packed.size)
    return Layer(diff_id=packed.diff_id, blob=blob)


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
