"""A cache as documents: for each platform a manifest (OCI artifact) with a config, and an index of the manifests.

    index      artifactType ARTIFACT; an entry for each platform, annotation KEYS
    manifest   artifactType ARTIFACT; config: CONFIG; layers: the blobs, sorted by digest
    config     {"version": 1, "entries": {KEY: CachedLayer}, "mounts": {ID: CachedMount},
                "verdicts": {HEX: CachedVerdict}}

The config's descriptor holds its content (`data`) unless that is large, so a manifest is read with one request. KEYS
has the first 48 bits of each key, so that an index says in one request that nothing of a build is in the cache.
Annotations that begin with OWN belong to a carrier. `to_json` is the same in one text, for carriers that have no blobs
of their own kind.

Everything is checked when it is decoded, because others may have written it: a descriptor's `urls`, `data` and unknown
annotations do not get into an image, and an entry that is not complete and plausible does not exist.
"""

import base64
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

import msgspec

from polyarch.buildcache.values import CachedLayer, CachedMount, CachedVerdict, PlatformCache, tidied
from polyarch.errors import CorruptError, UnsupportedError
from polyarch.oci import descriptor as descriptors
from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import layer_table, media_types, nesting
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.oci.platform import Platform
from polyarch.oci.verify import verified

VERSION = 1
ARTIFACT = "application/vnd.polyarch.cache.v1+json"
CONFIG = "application/vnd.polyarch.cache.config.v1+json"
OWN = "org.polyarch.cache."
KEYS = f"{OWN}keys"
# A larger config is refused. BuildKit refuses more than 1 MiB, which it writes itself (moby/buildkit#3719).
LARGEST_CONFIG = 64 << 20
_LARGEST_DATA = 1 << 20
_KEY_BYTES = 6
_FAMILY = "application/vnd.polyarch.cache."
_BUILDKIT = "application/vnd.buildkit.cacheconfig."

# Times as in image configs (RFC 3339), and days.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
# The characters of an entry's step and notes.
_LONGEST_TEXT = 10_000
# In bytes; a verdict is nearly always that nothing was found.
LARGEST_VERDICT = 4_096
_T = TypeVar("_T")
_Cached = TypeVar("_Cached", CachedLayer, CachedMount)

Kind = Literal["ours", "newer", "buildkit", "image", "other"]


class Encoded(msgspec.Struct, frozen=True):
    """A platform's cache as documents."""

    manifest: Manifest
    config: Descriptor
    content: bytes


class _Config(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    entries: dict[str, msgspec.Raw] = {}
    mounts: dict[str, msgspec.Raw] = {}
    verdicts: dict[str, msgspec.Raw] = {}


class _Text(msgspec.Struct, frozen=True, kw_only=True):
    config: msgspec.Raw
    blobs: list[Any] = []


def encode(cache: PlatformCache) -> Encoded:
    """The manifest and the config. Equal caches have equal bytes."""
    content = _config(cache)
    config = Descriptor(media_type=CONFIG, digest=digests.of(content), size=len(content))
    named = config
    if len(content) <= _LARGEST_DATA:
        named = msgspec.structs.replace(config, data=base64.b64encode(content).decode())
    raw = documents.encode(
        {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_MANIFEST,
            "artifactType": ARTIFACT,
            "config": descriptors.to_dict(named),
            "layers": [descriptors.to_dict(blob) for _, blob in sorted(cache.blobs.items())],
        }
    )
    manifest = documents.load(raw)
    assert isinstance(manifest, Manifest)
    return Encoded(manifest, config, content)


def decode(manifest: Manifest, read: Callable[[Descriptor], bytes]) -> PlatformCache:
    """The cache of a manifest. `read` returns the content of a config that the manifest does not hold itself.

    Raises CorruptError, UnsupportedError for another kind of document.
    """
    require_ours(manifest, "the manifest")
    config = manifest.config
    if config.size > LARGEST_CONFIG:
        raise CorruptError(f"the cache's config claims {config.size} bytes, more than the allowed {LARGEST_CONFIG}")
    content = _data(config)
    if content is None:
        content = read(config)
    return _cache(content, manifest.layers)


def entry(encoded: Encoded, cache: PlatformCache, platform: Platform) -> Descriptor:
    """The entry of an index for a platform's cache."""
    prefixes = sorted(_prefix(key) for key in cache.entries)
    annotations = {KEYS: base64.b64encode(b"".join(prefixes)).decode()}
    descriptor = encoded.manifest.descriptor(platform, annotations)
    return msgspec.structs.replace(descriptor, artifact_type=ARTIFACT)


def may_have(entry: Descriptor, key: str) -> bool:
    """Whether the cache of an index entry may have a key. True if the entry does not say."""
    try:
        prefixes, wanted = _prefixes(entry.annotations[KEYS]), _prefix(key)
    except (KeyError, ValueError):
        return True
    at = prefixes.find(wanted)
    while at >= 0 and at % _KEY_BYTES:
        at = prefixes.find(wanted, at + 1)
    return at >= 0


def create_index(entries: Iterable[Descriptor]) -> Index:
    """An index of these entries, in the order of their platforms."""
    ordered = sorted(entries, key=lambda entry: str(entry.platform))
    raw = documents.encode(
        {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_INDEX,
            "artifactType": ARTIFACT,
            "manifests": [descriptors.to_dict(entry) for entry in ordered],
        }
    )
    index = documents.load(raw)
    assert isinstance(index, Index)
    return index


def entries(index: Index) -> dict[Platform, Descriptor]:
    """The entries of a cache's index by platform."""
    return {
        entry.platform: entry
        for entry in index.manifests
        if entry.platform is not None and entry.media_type == media_types.OCI_MANIFEST
    }


def kind_of(document: Manifest | Index) -> Kind:
    """What a manifest or an index is."""
    kinds = {document.artifact_type}
    if isinstance(document, Manifest):
        kinds.add(document.config.media_type)
    else:
        # BuildKit's index form lists the config and the layers of a cache as its manifests.
        kinds |= {entry.media_type for entry in document.manifests}
    if not kinds.isdisjoint((ARTIFACT, CONFIG)):
        return "ours"
    if any(kind.startswith(_FAMILY) for kind in kinds):
        return "newer"
    if any(kind.startswith(_BUILDKIT) for kind in kinds):
        return "buildkit"
    if isinstance(document, Manifest):
        return "image" if document.is_image else "other"
    return "image" if kinds.intersection(media_types.MANIFESTS) else "other"


_KINDS: Mapping[Kind, tuple[str, str]] = {
    "newer": ("is a cache of a newer version of Polyarch", "update Polyarch, or use another name for this version"),
    "buildkit": ("is a cache that BuildKit made, which only BuildKit can use", "give Polyarch a name of its own"),
    "image": ("is an image without a cache in it", "build it with --cache-to type=inline"),
    "other": ("is not a cache", "name a cache that --cache-to made"),
}


def described(kind: Kind) -> str:
    """What a document of another kind is, as the rest of a sentence."""
    return _KINDS[kind][0]


def require_ours(document: Manifest | Index, where: str) -> None:
    """Raise UnsupportedError that says what the document `where` is, unless it is a cache of this format."""
    kind = kind_of(document)
    if kind != "ours":
        what, hint = _KINDS[kind]
        raise UnsupportedError(f"{where} {what}", hint)


def to_json(cache: PlatformCache) -> bytes:
    """The cache as one JSON text. Equal caches have equal texts."""
    blobs = [descriptors.to_dict(blob) for _, blob in sorted(cache.blobs.items())]
    return msgspec.json.encode({"config": msgspec.Raw(_config(cache)), "blobs": blobs})


def from_json(raw: bytes) -> PlatformCache:
    """The cache of the text of `to_json`. Raises CorruptError, UnsupportedError for a newer version."""
    found = _decoded(raw, _Text)
    return _cache(bytes(found.config), map(_descriptor, found.blobs))


def with_blobs(cache: PlatformCache, has: Callable[[Descriptor], bool]) -> PlatformCache:
    """The cache without entries and mounts whose blobs are not there. `has` says whether a blob is."""
    blobs = {digest: blob for digest, blob in cache.blobs.items() if has(blob)}
    return msgspec.structs.replace(
        cache,
        entries={key: entry for key, entry in cache.entries.items() if entry.blob in blobs},
        mounts={name: mount for name, mount in cache.mounts.items() if mount.blob in blobs},
        blobs=blobs,
    )


def layer_descriptor(blob: Descriptor) -> Descriptor:
    """The descriptor of a cache's layer as an image names it: without the annotations of carriers, or of others."""
    kept = {name: text for name, text in blob.annotations.items() if name.startswith(_LAYER_ANNOTATIONS)}
    return Descriptor(media_type=blob.media_type, digest=blob.digest, size=blob.size, annotations=kept)


# The annotations that this program gives to layers: the table of contents, and those of eStargz.
_LAYER_ANNOTATIONS = (layer_table.ANNOTATION, "containerd.io/snapshot/stargz/", "io.containers.estargz.")


def _config(cache: PlatformCache) -> bytes:
    plain = {
        "version": VERSION,
        "entries": cache.entries,
        "mounts": cache.mounts,
        "verdicts": cache.verdicts,
    }
    return msgspec.json.encode({name: value for name, value in plain.items() if value}, order="deterministic")


def _cache(content: bytes, blobs: Iterable[Descriptor | None]) -> PlatformCache:
    config = _decoded(content, _Config)
    if config.version != VERSION:
        raise UnsupportedError(
            f"the cache has the format {config.version}, and this version of Polyarch knows {VERSION}",
            "update Polyarch, or use another name for this version",
        )
    known = {blob.digest: _checked(blob) for blob in blobs if blob is not None}
    entries = {key: _entry(raw, CachedLayer, known) for key, raw in config.entries.items() if digests.is_digest(key)}
    mounts = {name: _entry(raw, CachedMount, known) for name, raw in config.mounts.items()}
    verdicts = {name: _verdict(raw) for name, raw in config.verdicts.items()}
    return tidied(
        PlatformCache(
            entries={key: entry for key, entry in entries.items() if entry is not None},
            mounts={name: mount for name, mount in mounts.items() if mount is not None},
            verdicts={name: verdict for name, verdict in verdicts.items() if verdict is not None},
            blobs=known,
        )
    )


def _entry(raw: msgspec.Raw, kind: type[_Cached], blobs: Mapping[Digest, Descriptor]) -> _Cached | None:
    """An entry of a config; None if it is not plausible."""
    try:
        found = msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return found if is_plausible(found, blobs) else None


def _verdict(raw: msgspec.Raw) -> CachedVerdict | None:
    try:
        found = msgspec.json.decode(raw, type=CachedVerdict)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return found if _DAY.fullmatch(found.used) and len(found.content) <= LARGEST_VERDICT else None


def is_plausible(entry: CachedLayer | CachedMount, blobs: Mapping[Digest, Descriptor]) -> bool:
    """Whether an entry that others may have written can be used: a layer, with times that are times."""
    blob = blobs.get(entry.blob)
    if blob is None or not blob.size or not media_types.is_tar(blob.media_type) or not digests.is_digest(entry.diff_id):
        return False
    if not _TIME.fullmatch(entry.created) or not _DAY.fullmatch(entry.used):
        return False
    texts = (entry.step, *map("".join, entry.notes)) if isinstance(entry, CachedLayer) else ()
    return sum(map(len, texts)) <= _LONGEST_TEXT


def _checked(blob: Descriptor) -> Descriptor:
    """What a cache may say of a blob: nothing that leads to another server."""
    return Descriptor(media_type=blob.media_type, digest=blob.digest, size=blob.size, annotations=blob.annotations)


def _descriptor(plain: object) -> Descriptor | None:
    try:
        return descriptors.parse(plain)
    except CorruptError:
        return None


def _data(config: Descriptor) -> bytes | None:
    """The content that a descriptor holds itself; None if it holds none."""
    if not config.data:
        return None
    try:
        content = base64.b64decode(config.data, validate=True)
    except ValueError as error:
        raise CorruptError(f"the data of {config.digest} is not base64") from error
    return verified(content, config, "the manifest of a cache")


def _decoded(raw: bytes, kind: type[_T]) -> _T:
    nesting.check(raw, "a cache")
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CorruptError(f"the cache is malformed: {error}") from error


@functools.lru_cache(64)
def _prefixes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _prefix(key: str) -> bytes:
    return bytes.fromhex(digests.encoded(Digest(key))[: 2 * _KEY_BYTES])
