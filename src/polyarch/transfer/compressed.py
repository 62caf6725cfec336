"""Compress the layers of docker's archives, which are plain tars that a push would send.

docker, skopeo and crane compress them when they push. Here it happens once, on the way into the store, so that loading
the archive, adding it to a list and pushing it result in the same images.
"""

from typing import TYPE_CHECKING

import msgspec

from polyarch.errors import CorruptError
from polyarch.oci import document as documents
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest, algorithm
from polyarch.oci.document import Manifest
from polyarch.oci.place import BlobReader, Source
from polyarch.store import tables
from polyarch.store.tables import Kept, Table
from polyarch.transfer.docker_archive import DockerArchive
from polyarch.transfer.names import NamedEntry

if TYPE_CHECKING:
    from polyarch.store.store import Store

_COMPRESSED: Table[Digest, Descriptor] = Table(
    tables.COMPRESSED,
    msgspec.json.encode,
    msgspec.json.Decoder(Descriptor).decode,
    lambda descriptor: Kept(frozenset((descriptor.digest,))),
)


def compacted(source: Source, store: "Store") -> Source:
    """The source itself, or for docker's archives, the archive with compressed layers."""
    return Compacted(source, store) if isinstance(source, DockerArchive) else source


class Compacted:
    """The archive with compressed layers, which are in `store`: Source and Partial. It owns neither of them."""

    def __init__(self, archive: DockerArchive, store: "Store") -> None:
        self._archive = archive
        self._store = store
        self._converted: dict[Digest, Manifest] = {}

    @property
    def where(self) -> str:
        """The name for messages."""
        return self._archive.where

    def images(self) -> tuple[NamedEntry, ...]:
        """The images, once for each name. Raises CorruptError."""
        return tuple(NamedEntry(image.name, self._convert(image.descriptor)) for image in self._archive.images())

    def resolve(self, name: str) -> Descriptor:
        """See `DockerArchive.resolve`. Raises NotFoundError, CorruptError."""
        if (manifest := self._converted.get(Digest(name))) is not None:
            return manifest.descriptor()
        return self._convert(self._archive.resolve(name))

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """See `place.Source`."""
        manifest = self._converted.get(descriptor.digest)
        return self._archive.read_manifest(descriptor) if manifest is None else manifest.raw

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """See `place.Source`."""
        if self._archive.lacks(descriptor):
            return self._store.open_blob(descriptor)
        return self._archive.open_blob(descriptor)

    def tags(self) -> tuple[str, ...]:
        """The names, sorted."""
        return self._archive.tags()

    def lacks(self, descriptor: Descriptor) -> bool:
        """See `place.Partial`."""
        return self._archive.lacks(descriptor) and not self._store.has_blob(descriptor)

    def _convert(self, descriptor: Descriptor) -> Descriptor:
        original = documents.load(self._archive.read_manifest(descriptor))
        assert isinstance(original, Manifest)
        manifest = manifests.create(original.config, [self._compressed(layer) for layer in original.layers])
        self._converted[manifest.digest] = manifest
        return manifest.descriptor()

    def _compressed(self, layer: Descriptor) -> Descriptor:
        """The layer as a gzip blob in the store; the layer itself if it is compressed already."""
        if layer.media_type != media_types.OCI_LAYER:
            return layer
        known = _COMPRESSED.get(self._store.cache, layer.digest)
        if known is not None and self._store.has_blob(known):
            return known
        from polyarch.layers.compression import Compression
        from polyarch.layers.recompress import recompress

        with self._archive.open_blob(layer) as tar, self._store.new_blob() as writer:
            packed = recompress(tar, writer, Compression())
            # For another algorithm, reading the layer has verified its digest.
            if algorithm(layer.digest) == "sha256" and packed.diff_id != layer.digest:
                raise CorruptError(f"{layer.digest} from {self.where} is corrupt: its bytes have another digest")
            writer.commit(packed.digest)
        descriptor = Descriptor(media_type=packed.media_type, digest=packed.digest, size=packed.size)
        _COMPRESSED.put(self._store.cache, layer.digest, descriptor)
        return descriptor
