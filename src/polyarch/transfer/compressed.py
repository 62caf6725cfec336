"""Docker's archives with their layers compressed: docker keeps them as plain tars, and a push would send those.

docker, skopeo and crane compress them on the way to a registry as well. Here it happens once, on the way into the
store, so that a list made of the archive, a push and what was loaded from it are the same images.
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
    """The source, docker's archives with compressed layers."""
    return Compacted(source, store) if isinstance(source, DockerArchive) else source


class Compacted:
    """As the archive, with compressed layers, which are in `store`: Source and Partial. It owns neither of them."""

    def __init__(self, archive: DockerArchive, store: "Store") -> None:
        self._archive = archive
        self._store = store
        self._made: dict[Digest, Manifest] = {}

    @property
    def where(self) -> str:
        """What to call it in a message."""
        return self._archive.where

    def images(self) -> tuple[NamedEntry, ...]:
        """The images, once for each name. Raises CorruptError."""
        return tuple(NamedEntry(image.name, self._convert(image.descriptor)) for image in self._archive.images())

    def resolve(self, name: str) -> Descriptor:
        """As of the archive. Raises NotFoundError, CorruptError."""
        if (made := self._made.get(Digest(name))) is not None:
            return made.descriptor()
        return self._convert(self._archive.resolve(name))

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """As of `place.Source`."""
        made = self._made.get(descriptor.digest)
        return self._archive.read_manifest(descriptor) if made is None else made.raw

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """As of `place.Source`."""
        if self._archive.lacks(descriptor):
            return self._store.open_blob(descriptor)
        return self._archive.open_blob(descriptor)

    def tags(self) -> tuple[str, ...]:
        """The names, sorted."""
        return self._archive.tags()

    def lacks(self, descriptor: Descriptor) -> bool:
        """As of `place.Partial`."""
        return self._archive.lacks(descriptor) and not self._store.has_blob(descriptor)

    def _convert(self, descriptor: Descriptor) -> Descriptor:
        original = documents.load(self._archive.read_manifest(descriptor))
        assert isinstance(original, Manifest)
        made = manifests.create(original.config, [self._compressed(layer) for layer in original.layers])
        self._made[made.digest] = made
        return made.descriptor()

    def _compressed(self, layer: Descriptor) -> Descriptor:
        """The layer's tar as a gzip blob of the store; itself where it is compressed already."""
        if layer.media_type != media_types.OCI_LAYER:
            return layer
        known = _COMPRESSED.get(self._store.cache, layer.digest)
        if known is not None and self._store.has_blob(known):
            return known
        from polyarch.layers.compression import Compression
        from polyarch.layers.recompress import recompress

        with self._archive.open_blob(layer) as tar, self._store.new_blob() as writer:
            packed = recompress(tar, writer, Compression())
            # Reading has compared a digest of another algorithm.
            if algorithm(layer.digest) == "sha256" and packed.diff_id != layer.digest:
                raise CorruptError(f"{layer.digest} from {self.where} is corrupt: its bytes have another digest")
            writer.commit(packed.digest)
        descriptor = Descriptor(media_type=packed.media_type, digest=packed.digest, size=packed.size)
        _COMPRESSED.put(self._store.cache, layer.digest, descriptor)
        return descriptor
