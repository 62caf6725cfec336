"""Docker's archive format, read as a place: `manifest.json`, configs and layer tars (`docker save` before 25).

Docker stores layers uncompressed: the digest of a layer is its diff id, and the manifest can be created without
reading the layers. Other writers (kaniko, bazel) compress them; these are hashed when the image is resolved. Layers in
xz and bzip2, which have no media type in OCI, are read once for their size, and used uncompressed.
"""

import functools
import hashlib
from typing import Self

import msgspec

from polyarch.errors import CorruptError, NotFoundError, UsageError
from polyarch.oci import config as configs
from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Manifest
from polyarch.oci.place import BlobReader, Readable
from polyarch.oci.verify import VerifyingReader, verified
from polyarch.transfer.names import NamedEntry
from polyarch.transfer.tarball import Members, is_compressed

MANIFEST = "manifest.json"
_CHUNK = 1 << 20
_START = 16
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Saved(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One image of `manifest.json`: paths in the archive, and its names."""

    config: str
    repo_tags: list[str] | None = None
    layers: list[str] | None = None


class DockerArchive:
    """A docker archive for reading: Source and Partial of `oci/place.py`. Owns the file: `close` it, or use `with`."""

    def __init__(self, members: Members) -> None:
        self._members = members
        raw = members.read(MANIFEST, documents.MAX_SIZE)
        try:
            self._saved = msgspec.json.decode(raw, type=list[Saved])
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise CorruptError(f"{MANIFEST} of {members.where} is malformed: {error}") from error
        self._manifests: dict[int, Manifest] = {}
        self._positions: dict[Digest, int] = {}
        self._paths: dict[Digest, str] = {}
        # Layers that are decompressed when they are read.
        self._packed: set[Digest] = set()

    @property
    def where(self) -> str:
        """The name for messages."""
        return self._members.where

    def images(self) -> tuple[NamedEntry, ...]:
        """The images, once for each name, in the archive's order. Raises CorruptError."""
        return tuple(
            NamedEntry(name, self._manifest(position).descriptor())
            for position, saved in enumerate(self._saved)
            for name in saved.repo_tags or [""]
        )

    def resolve(self, name: str) -> Descriptor:
        """The image with this tag, image id or manifest digest; for an empty name, the only image.

        Raises NotFoundError that lists the names, CorruptError.
        """
        if not name and len(self._saved) == 1:
            return self._manifest(0).descriptor()
        for spelling in (name, _normal(name)):
            if name and (position := self._named.get(spelling)) is not None:
                return self._manifest(position).descriptor()
        if digests.is_digest(name) and (position := self._find(Digest(name))) is not None:
            return self._manifest(position).descriptor()
        have = ", ".join(self.tags()) or f"{len(self._saved)} unnamed images"
        what = f"no image {name!r}" if name else f"{len(self._saved)} images, and no name was given"
        raise NotFoundError(f"{self.where} has {what}", f"it has {have}")

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """The manifest that was created from the archive. Raises NotFoundError."""
        if (position := self._find(descriptor.digest)) is not None:
            return verified(self._manifest(position).raw, descriptor, self.where)
        raise NotFoundError(f"{self.where} has no manifest {descriptor.digest}")

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """See `place.Source`."""
        if (path := self._paths.get(descriptor.digest)) is None:
            raise NotFoundError(f"{self.where} has no {descriptor.digest}")
        content: Readable = self._members.open(path)
        if descriptor.digest in self._packed:
            content = _unpacked(content)
        return VerifyingReader(content, descriptor, None, self.where)

    def tags(self) -> tuple[str, ...]:
        """The names, sorted."""
        return tuple(sorted({tag for saved in self._saved for tag in saved.repo_tags or ()}))

    def lacks(self, descriptor: Descriptor) -> bool:
        """See `place.Partial`."""
        return descriptor.digest not in self._paths

    def close(self) -> None:
        """Close the file."""
        self._members.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @functools.cached_property
    def _named(self) -> dict[str, int]:
        """The position of the image by its tag, unchanged and in normal form; the first of several."""
        found: dict[str, int] = {}
        for position, saved in enumerate(self._saved):
            for tag in saved.repo_tags or ():
                found.setdefault(tag, position)
                found.setdefault(_normal(tag), position)
        return found

    def _find(self, digest: Digest) -> int | None:
        """The position of the image whose manifest or config has this digest."""
        if digest not in self._positions:
            for position in range(len(self._saved)):
                self._manifest(position)
        return self._positions.get(digest)

    def _manifest(self, position: int) -> Manifest:
        if position not in self._manifests:
            manifest = self._manifests[position] = self._convert(self._saved[position])
            for digest in (manifest.digest, manifest.config.digest):
                self._positions.setdefault(digest, position)
        return self._manifests[position]

    def _convert(self, saved: Saved) -> Manifest:
        raw = self._members.read(saved.config, documents.MAX_SIZE)
        diff_ids = configs.load(raw).diff_ids
        paths = saved.layers or []
        if len(paths) != len(diff_ids):
            raise CorruptError(
                f"{saved.config} in {self.where} names {len(diff_ids)} layers, {MANIFEST} has {len(paths)}"
            )
        config = Descriptor(media_type=media_types.OCI_CONFIG, digest=digests.of(raw), size=len(raw))
        self._paths[config.digest] = saved.config
        layers = [self._layer(path, diff_id) for path, diff_id in zip(paths, diff_ids, strict=True)]
        return manifests.create(config, layers)

    def _layer(self, path: str, diff_id: Digest) -> Descriptor:
        size = self._members.size(path)
        if size is None:
            raise CorruptError(f"{self.where} has no {path}, which {MANIFEST} names")
        content = self._members.open(path)
        start = content.read(_START)
        if is_compressed(start) and not start.startswith((_GZIP, _ZSTD)):
            self._paths[diff_id] = path
            self._packed.add(diff_id)
            return Descriptor(media_type=media_types.OCI_LAYER, digest=diff_id, size=_length(self._members.open(path)))
        media_type, digest = media_types.OCI_LAYER, diff_id
        if start.startswith((_GZIP, _ZSTD)):
            media_type = media_types.OCI_LAYER_GZIP if start.startswith(_GZIP) else media_types.OCI_LAYER_ZSTD
            hasher = hashlib.sha256(start)
            while chunk := content.read(_CHUNK):
                hasher.update(chunk)
            digest = Digest("sha256:" + hasher.hexdigest())
        self._paths[digest] = path
        return Descriptor(media_type=media_type, digest=digest, size=size)


def _unpacked(content: Readable) -> Readable:
    from polyarch.layers.compression import decompress

    return decompress(content)


def _length(content: Readable) -> int:
    """The size of a layer's tar. Raises CorruptError if it is damaged."""
    tar, size = _unpacked(content), 0
    while chunk := tar.read(_CHUNK):
        size += len(chunk)
    return size


def _normal(tag: str) -> str:
    """The full reference for a tag; an invalid one unchanged."""
    try:
        return str(references.parse(tag).tagged())
    except UsageError:
        return tag
