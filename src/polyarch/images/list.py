"""`images`: every name in the store with its platforms. Fast, because it reads only small documents."""

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from polyarch.errors import CorruptError
from polyarch.oci import digest as digests
from polyarch.oci import media_types
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import REFERENCE_DIGEST, REFERENCE_TYPE, Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform

if TYPE_CHECKING:
    from polyarch.store import Store
    from polyarch.store.tables import Table

# The values below have no reference cycles, so Python need not track them (gc=False): there are thousands.

# Above this many names, the documents that were read are cached, so that a single query finds all of them.
_MANY = 200
# As many levels of indexes as the copier takes (transfer/graph.py).
_MAX_DEPTH = 4
# As in oci/attestation.py, which `images` would have to load.
_PREDICATE_TYPE = "in-toto.io/predicate-type"


class ListedPlatform(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One image below a name. `size` is of its manifest, config and layers in bytes; 0 if it is not in the store.

    If it is an `attestation`, `about` is the digest of its image, and `kinds` are the types of its predicates.
    """

    platform: str
    digest: Digest
    size: int
    config: Digest
    present: bool
    attestation: bool = False
    about: str = ""
    kinds: tuple[str, ...] = ()


class ListedImage(msgspec.Struct, frozen=True, kw_only=True):
    """One name. `size` counts content that its images share once; `is_index` is False for a single image."""

    name: str
    digest: Digest
    size: int
    is_index: bool
    platforms: tuple[ListedPlatform, ...]


class _ListPart(msgspec.Struct, rename="camel", gc=False):
    digest: Digest
    size: int
    media_type: str = ""
    platform: Platform | None = None
    annotations: dict[str, str] = {}


class _Document(msgspec.Struct, gc=False):
    """The few fields of a manifest or an index that a list needs; reading only these is what makes it fast."""

    manifests: list[_ListPart] | None = None
    config: _ListPart | None = None
    layers: list[_ListPart] = []


class _Image(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The cached fields of one manifest."""

    config: str
    parts: dict[str, int]


_decode = msgspec.json.Decoder(_Document).decode


def _summaries() -> "Table[str, _Image]":
    from polyarch.store import tables

    return tables.Table(tables.SUMMARY, msgspec.msgpack.encode, msgspec.msgpack.Decoder(_Image).decode)


class _ListReader:
    """Reads documents by digest, each once. It owns nothing that must be closed."""

    def __init__(self, store: "Store", many: bool) -> None:
        self._store = store
        self._directory = str(store.blob_path(digests.of(b"")).parent.parent)
        self._platforms: dict[Platform | None, str] = {}
        self._images: dict[str, _Image] = {}
        self._new: dict[str, _Image] = {}
        self._many = many
        if many:
            self._images = _summaries().all(store.cache)

    def read(self, digest: Digest) -> bytes | None:
        """The bytes of a small blob; None if the store does not have it."""
        try:
            descriptor = os.open(f"{self._directory}/{digest.replace(':', '/')}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            # A manifest has at most 4 MiB, and nearly always less than a page or two.
            raw = os.read(descriptor, 1 << 16)
            if len(raw) == 1 << 16:
                while more := os.read(descriptor, 1 << 20):
                    raw += more
            return raw
        finally:
            os.close(descriptor)

    def exists(self, digest: Digest) -> bool:
        return os.access(f"{self._directory}/{digest.replace(':', '/')}", os.F_OK)

    def document(self, digest: Digest) -> _Document | None:
        raw = self.read(digest)
        if raw is None:
            return None
        try:
            return _decode(raw)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return _forgiven(raw)

    def image(self, digest: Digest, size: int) -> _Image | None:
        """The fields of a manifest; None if it is not in the store."""
        known = self._images.get(digest)
        if known is not None:
            return known if self.exists(digest) else None
        document = self.document(digest)
        if document is None or document.config is None:
            return None
        parts = {str(part.digest): part.size for part in (document.config, *document.layers)}
        found = _Image(str(document.config.digest), parts | {str(digest): size})
        self._images[digest] = found
        if self._many:
            self._new[digest] = found
        return found

    def kinds(self, digest: Digest) -> tuple[str, ...]:
        """The types of the predicates in an attestation; empty if it is not in the store."""
        return tuple(
            kind
            for layer in (self.document(digest) or _Document()).layers
            if (kind := layer.annotations.get(_PREDICATE_TYPE))
        )

    def claimed(self, config: str) -> str:
        """The platform in an image's config; empty if that is unknown."""
        from polyarch.oci import config as configs

        raw = self.read(Digest(config))
        try:
            platform = configs.load(raw).platform if raw is not None else None
        except CorruptError:
            platform = None
        return str(platform) if platform is not None and platform.architecture else ""

    def platform(self, platform: Platform | None) -> str:
        """The normalized platform. Cached, because there are only a few different ones."""
        shown = self._platforms.get(platform)
        if shown is None:
            shown = str(platforms.normalize(platform)) if platform is not None else ""
            self._platforms[platform] = shown
        return shown

    def close(self) -> None:
        """Cache what was read."""
        if self._new:
            _summaries().put_many(self._store.cache, self._new.items())


def list_images(
    store: "Store", roots: Mapping[str, Descriptor] | None = None, *, unnamed: bool = False
) -> tuple[ListedImage, ...]:
    """The images of the store, or those of `roots` (name to descriptor), sorted by name.

    With `unnamed`, images without a name follow, each with an empty name.
    """
    wanted = sorted((store.tagged() if roots is None else roots).items())
    if unnamed:
        wanted += [("", descriptor) for descriptor in store.kept()]
    reader = _ListReader(store, many=len(wanted) > _MANY)
    try:
        return tuple(_listed(reader, name, descriptor) for name, descriptor in wanted)
    finally:
        reader.close()


def created(store: "Store", listed: ListedPlatform) -> str:
    """The creation time in the image's config (RFC 3339); empty if that is unknown."""
    config = read_small(store, listed.config) if listed.config else None
    return str(config.get("created") or "") if config else ""


def read_small(store: "Store", digest: Digest) -> Mapping[str, Any] | None:
    """The JSON object in a small blob; None if the blob is absent or not a JSON object."""
    raw = _ListReader(store, many=False).read(digest)
    try:
        document = msgspec.json.decode(raw) if raw is not None else None
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _listed(reader: _ListReader, name: str, root: Descriptor) -> ListedImage:
    document = reader.document(root.digest)
    if document is None or document.manifests is None:
        single = _single(reader, root, document)
        return ListedImage(name=name, digest=root.digest, size=single[1], is_index=False, platforms=(single[0],))
    parts: dict[str, int] = {str(root.digest): root.size}
    below = tuple(_below(reader, document.manifests, parts, 0))
    return ListedImage(name=name, digest=root.digest, size=sum(parts.values()), is_index=True, platforms=below)


def _below(
    reader: _ListReader, entries: list[_ListPart], parts: dict[str, int], depth: int
) -> Iterator[ListedPlatform]:
    """The images of these entries of an index, including those of nested indexes. Adds their blobs to `parts`."""
    for entry in entries:
        if entry.media_type in media_types.INDEXES and depth < _MAX_DEPTH:
            nested = reader.document(entry.digest)
            if nested is not None and nested.manifests is not None:
                parts[str(entry.digest)] = entry.size
                yield from _below(reader, nested.manifests, parts, depth + 1)
                continue
        image = reader.image(entry.digest, entry.size)
        if image is not None:
            parts |= image.parts
        shown = reader.platform(entry.platform)
        attestation = REFERENCE_TYPE in entry.annotations or (entry.platform is not None and entry.platform.is_unknown)
        yield ListedPlatform(
            platform=shown if shown or image is None else reader.claimed(image.config),
            digest=entry.digest,
            size=sum(image.parts.values()) if image else 0,
            config=Digest(image.config) if image else Digest(""),
            present=image is not None,
            attestation=attestation,
            about=entry.annotations.get(REFERENCE_DIGEST, "") if attestation else "",
            kinds=reader.kinds(entry.digest) if attestation else (),
        )


def _forgiven(raw: bytes) -> _Document | None:
    """A document without its nulls, which Go treats as absent; None if it is malformed, which `check` reports."""
    from polyarch.oci import document as documents
    from polyarch.oci.document import Index

    try:
        document = documents.load(raw)
    except CorruptError:
        return None
    if isinstance(document, Index):
        return _Document(manifests=[_part(entry) for entry in document.manifests])
    return _Document(config=_part(document.config), layers=[_part(layer) for layer in document.layers])


def _part(entry: Descriptor) -> _ListPart:
    return _ListPart(entry.digest, entry.size, entry.media_type, entry.platform, dict(entry.annotations))


def _single(reader: _ListReader, root: Descriptor, document: _Document | None) -> tuple[ListedPlatform, int]:
    image = reader.image(root.digest, root.size) if document is not None else None
    listed = ListedPlatform(
        platform=reader.claimed(image.config) if image else "",
        digest=root.digest,
        size=sum(image.parts.values()) if image else 0,
        config=Digest(image.config) if image else Digest(""),
        present=image is not None,
    )
    return listed, listed.size
