"""A layer as a value. `Layer` says in which forms the layer exists, `LayerBlob` is a layer that certainly has a blob.

The layers of a stored or pulled image are `LayerBlob`s. A build handles `Layer`s, because the layer of a RUN step has
no blob until it is exported. `Layer.as_blob` converts one to the other.
"""

import msgspec

from polyarch.errors import CorruptError, UnsupportedError
from polyarch.oci import media_types
from polyarch.oci.config import ImageConfig
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Manifest


class LayerBlob(msgspec.Struct, frozen=True):
    """A layer in the form of a blob: the digest of its tar, and the blob that holds the tar, compressed or not."""

    diff_id: Digest
    blob: Descriptor


class Layer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One changeset. `created` is when it was made (RFC 3339), empty for a base image's.

    It is a blob (`diff_id` and `blob` are set), or an unpacked directory in overlay's form under the key `snapshot`,
    or both. A RUN's layer is only the latter until it is exported, and then `is_bare`: its files have their owners
    only inside the user namespace. `notes` are the warnings that every use of the layer repeats: (name of a rule,
    message).
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
        """What identifies it among all layers."""
        return self.diff_id or self.snapshot

    def as_blob(self) -> LayerBlob:
        """The layer in the form of a blob. Raises CorruptError if it has none."""
        if self.blob is None:
            raise CorruptError(f"the layer {self.key} has no blob")
        return LayerBlob(self.diff_id, self.blob)


# Built here, as in `layers.listing`: several threads may decode the first one at the same time.
msgspec.json.Decoder(Layer)


def encode(layer: Layer) -> bytes:
    """The layer as bytes, for the cache."""
    return msgspec.json.encode(layer)


def decode(raw: bytes) -> Layer:
    """The layer from the bytes of `encode`. Raises CorruptError for other bytes."""
    try:
        return msgspec.json.decode(raw, type=Layer)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CorruptError(f"a cached result is malformed: {error}") from error


def layers_of(manifest: Manifest, config: ImageConfig) -> tuple[LayerBlob, ...]:
    """The layers of an image, lowest first. Raises CorruptError if manifest and config do not match, and as
    `require_tars`.
    """
    require_tars(manifest)
    if len(manifest.layers) != len(config.diff_ids):
        raise CorruptError(
            f"{manifest.digest} has {len(manifest.layers)} layers, but its config lists {len(config.diff_ids)}"
        )
    return tuple(LayerBlob(diff_id, blob) for diff_id, blob in zip(config.diff_ids, manifest.layers, strict=True))


def require_tars(manifest: Manifest) -> None:
    """Raises UnsupportedError for an image with layers that cannot be unpacked: encrypted, or not a tar."""
    for number, blob in enumerate(manifest.layers, 1):
        if media_types.is_encrypted(blob.media_type):
            raise UnsupportedError(
                f"layer {number} is encrypted: {blob.digest} is of type {blob.media_type}",
                "decrypt it first: skopeo copy --decryption-key KEY docker://NAME oci-archive:FILE, then polyarch load",
            )
        if not media_types.is_tar(blob.media_type):
            raise UnsupportedError(f"layer {number} is not a tar: {blob.digest} is of type {blob.media_type}")
