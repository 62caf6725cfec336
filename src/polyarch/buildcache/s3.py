"""`type=s3`: a cache in a bucket of S3, or of a service that speaks its protocol.

    PREFIX manifests/ NAME / OS-ARCH    the cache of a platform as JSON (`documents.to_json`)
    PREFIX blobs/ DIGEST                a blob

BuildKit keeps its own cache in `PREFIX manifests/ NAME`, which is another object, and its blobs in the same place as we
do. Of two writers of a platform, the second is told so by the server (If-Match, If-None-Match) and begins again. Not
every service knows these conditions: there, a writer looks again after a while whether its entries are still there.
"""

import contextlib
import random
import threading
import time
from collections.abc import Iterable

import msgspec

from polyarch.buildcache import documents, replaced, s3_credentials, s3_settings
from polyarch.buildcache.attributes import split
from polyarch.buildcache.carrier import Around, Attributes, Change
from polyarch.buildcache.once import Once
from polyarch.buildcache.s3_client import S3Client
from polyarch.buildcache.values import PlatformCache
from polyarch.errors import NotFoundError, PolyarchError, RegistryError, UnsupportedError
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.place import BlobReader, Readable
from polyarch.oci.platform import Platform
from polyarch.oci.verify import VerifyingReader, verifying

_ATTEMPTS = 30
# How long a writer waits before it looks again, where nothing else tells it that another one was faster: at least this,
# and some times as long as it needed itself.
_SHORTEST_WAIT = 0.5
_WAIT_FACTOR = 3
_LONGEST_WAIT = 5.0
# Younger blobs may belong to a build that has not written its cache yet.
_RECENT = 86400.0
# No object has it, because ETags are digests.
_NO_ETAG = '"polyarch"'


class _BuildKitLayer(msgspec.Struct, frozen=True):
    blob: str


class _BuildKitCache(msgspec.Struct, frozen=True):
    layers: list[_BuildKitLayer]


class S3Carrier:
    """Implements `Carrier`, `Expiring`, `contents.Collecting` and `place.Ranged`. It owns nothing."""

    # Buckets often have a rule that removes old objects.
    expires = True

    def __init__(self, attributes: Attributes, around: Around) -> None:
        self._given, self._variables = split(attributes)
        self._around = around
        self._begun = time.monotonic()
        self._settings = s3_settings.parse(self._given, self._variables)
        self._mutex = threading.RLock()
        self._opened: S3Client | None = None
        self._caches: dict[Platform, PlatformCache | None] = {}
        self._listed = Once(self._list)
        self._known: set[Digest] = set()
        self._conditional: bool | None = None

    @property
    def where(self) -> str:
        """Implements `Carrier`."""
        settings = self._settings
        return f"s3://{settings.bucket}/{settings.prefix}{settings.manifests_prefix}{settings.names[0]}"

    def platforms(self) -> tuple[Platform, ...]:
        """Implements `Carrier`."""
        return self._listed.get()

    def may_have(self, platform: Platform, key: str) -> bool:
        """Implements `Carrier`."""
        found = self.read(platform)
        return found is not None and key in found.entries

    def read(self, platform: Platform) -> PlatformCache | None:
        """Implements `Carrier`: of several names, the first is read, as in BuildKit."""
        with self._mutex:
            if platform not in self._caches:
                found = self._client().get(self._key(self._settings.names[0], platform), documents.LARGEST_CONFIG)
                self._caches[platform] = None if found is None else documents.from_json(found[0])
            cache = self._caches[platform]
        if cache is None:
            self.platforms()
        return cache

    def write(self, platform: Platform, change: Change) -> PlatformCache:
        """Implements `Carrier`: every name is written."""
        written = [self._write(self._key(name, platform), platform, change) for name in self._settings.names]
        self._listed.forget()
        with self._mutex:
            self._caches.clear()
        return written[0]

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Implements `Carrier`. A blob that is old is renewed, because buckets often delete what is old."""
        with self._mutex:
            if descriptor.digest in self._known:
                return True
        found = self._client().head(self._blob_key(descriptor))
        if found is None or found.size != descriptor.size:
            return False
        if self._now() - found.modified > self._settings.touch_refresh:
            # Whoever may only read cannot renew it, and need not.
            with contextlib.suppress(RegistryError):
                self._client().touch(found)
        with self._mutex:
            self._known.add(descriptor.digest)
        return True

    def write_blob(self, descriptor: Descriptor, content: Readable) -> None:
        """Implements `Carrier`."""
        self._client().upload(self._blob_key(descriptor), verifying(content, descriptor), descriptor.size)
        with self._mutex:
            self._known.add(descriptor.digest)

    def recorded(self, descriptor: Descriptor) -> Descriptor:
        """Implements `Carrier`."""
        return descriptor

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """Implements `Carrier`."""
        content = self._client().open(self._blob_key(descriptor), 0, descriptor.size)
        return VerifyingReader(content, descriptor, content.close, self.where)

    def read_range(self, descriptor: Descriptor, offset: int, size: int) -> bytes:
        """Implements `place.Ranged`."""
        end = min(offset + size, descriptor.size)
        with self._client().open(self._blob_key(descriptor), offset, max(end - offset, 0)) as reader:
            return reader.read()

    def collect(self) -> None:
        """Implements `contents.Collecting`: removes blobs that neither a cache of ours nor one of BuildKit names.

        If there is anything else where the caches are, or nothing, no blob is removed.
        """
        client, settings = self._client(), self._settings
        blobs = f"{settings.prefix}{settings.blobs_prefix}"
        caches = f"{settings.prefix}{settings.manifests_prefix}"
        if blobs.startswith(caches) or caches.startswith(blobs):
            return
        named: set[str] = set()
        for found in client.list(caches):
            if found.key == _probe_of(found.key):
                continue
            content = client.get(found.key, documents.LARGEST_CONFIG)
            digests = None if content is None else _named(content[0])
            if digests is None:
                return
            named |= digests
        for found in client.list(blobs) if named else ():
            if found.key.removeprefix(blobs) not in named and self._now() - found.modified > _RECENT:
                client.delete(found.key)

    def close(self) -> None:
        """Implements `Carrier`."""

    def _client(self) -> S3Client:
        """Raises UsageError if there are no credentials."""
        with self._mutex:
            if self._opened is None:
                credentials = s3_credentials.find(self._given, self._variables)
                self._opened = S3Client(self._around.registry.transport, self._settings, credentials, self._now)
            return self._opened

    def _now(self) -> float:
        return self._around.now + time.monotonic() - self._begun

    def _key(self, name: str, platform: Platform) -> str:
        settings = self._settings
        return f"{settings.prefix}{settings.manifests_prefix}{name}/{str(platform).replace('/', '-')}"

    def _blob_key(self, descriptor: Descriptor) -> str:
        return f"{self._settings.prefix}{self._settings.blobs_prefix}{descriptor.digest}"

    def _list(self) -> tuple[Platform, ...]:
        """Raises NotFoundError if there is no cache, UnsupportedError if there is only one of BuildKit."""
        settings = self._settings
        name = f"{settings.prefix}{settings.manifests_prefix}{settings.names[0]}"
        keys = [found.key for found in self._client().list(name)]
        listed = tuple(_platforms(key.removeprefix(f"{name}/") for key in keys if key.startswith(f"{name}/")))
        if not listed and name in keys:
            raise UnsupportedError(f"{self.where} {documents.described('buildkit')}", "give Polyarch a name of its own")
        if not listed:
            raise NotFoundError(f"there is no cache {self.where}", "--cache-to type=s3 makes it")
        return listed

    def _write(self, key: str, platform: Platform, change: Change) -> PlatformCache:
        client, conditional = self._client(), self._knows_conditions(key)
        for attempt in range(_ATTEMPTS):
            begun = time.monotonic()
            found = client.get(key, documents.LARGEST_CONFIG)
            wanted = change(
                None if found is None else replaced.decoded(found[0], platform, self.where, self._around.emit)
            )
            content = documents.to_json(wanted)
            if found is not None and content == found[0]:
                return wanted
            if client.put(key, content, unless="" if found is None else found[1]) is None:
                continue
            if conditional:
                return wanted
            wait = min(max(_SHORTEST_WAIT, _WAIT_FACTOR * (time.monotonic() - begun)), _LONGEST_WAIT)
            time.sleep(wait * (1 + attempt * random.random()))
        raise RegistryError(
            f"{self.where}: the cache of {platform} changed each time it was written",
            "other builds write it all the time: give them names of their own",
        )

    def _knows_conditions(self, key: str) -> bool:
        """Whether the server refuses a write whose condition is wrong. Then nothing can be lost."""
        with self._mutex:
            if self._conditional is None:
                self._conditional = self._client().put(_probe_of(key), b"", unless=_NO_ETAG) is None
            return self._conditional


def _probe_of(key: str) -> str:
    """The object beside a cache that a server writes which does not know conditions. No platform has this name."""
    return f"{key.rpartition('/')[0]}/.conditions"


def _named(raw: bytes) -> set[str] | None:
    """The digests that a cache names, of ours or BuildKit's; None for anything else."""
    try:
        return set(documents.from_json(raw).blobs)
    except PolyarchError:
        pass
    try:
        return {layer.blob for layer in msgspec.json.decode(raw, type=_BuildKitCache).layers}
    except (msgspec.MsgspecError, RecursionError):
        return None


def _platforms(names: Iterable[str]) -> Iterable[Platform]:
    """The platforms of `os-arch[-variant]`; other names are not ours."""
    for name in names:
        if "/" not in name:
            try:
                yield platforms.parse(name.replace("-", "/"))
            except PolyarchError:
                continue
