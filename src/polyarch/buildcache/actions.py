"""`type=gha`: a cache in the cache service of GitHub Actions.

    polyarch-1-SCOPE-PLATFORM-REF#N     the cache of a platform as JSON (`documents.to_json`); the newest N counts
    polyarch-1-SCOPE-platforms-REF#N    the names of the platforms, one a line
    polyarch-1-blob-HEX                 a blob of 8 MiB or more
    polyarch-1-pack-RANDOM              smaller blobs, one after the other

Entries never change, so a write is a new number, and the service itself says which of two writers was first. REF is a
hash of the branch and of the two names before it: a job reads the caches of all branches that its token names, and
`SCOPE-PLATFORM` of two caches may be the same text. An entry costs three requests, which are limited: hence the packs.
Where a blob is, is an annotation of its descriptor.
"""

import contextlib
import hashlib
import io
import os
import tempfile
import threading
from collections.abc import Callable
from typing import IO

import msgspec

from polyarch.buildcache import actions_settings, actions_token, documents, replaced
from polyarch.buildcache.actions_service import ActionsEntry, ActionsService
from polyarch.buildcache.attributes import split
from polyarch.buildcache.blocks import together
from polyarch.buildcache.carrier import Around, Attributes, Change, ReadOnlyError
from polyarch.buildcache.values import PlatformCache, merged
from polyarch.errors import (
    ConflictError,
    CorruptError,
    NotFoundError,
    PolyarchError,
    RegistryError,
    UnsupportedError,
    UsageError,
)
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.place import BlobReader, Readable
from polyarch.oci.platform import Platform
from polyarch.oci.verify import VerifyingReader, verifying

PLACE = f"{documents.OWN}place"
_SMALL = 8 << 20
_LARGEST_PACK = 256 << 20
_LARGEST_LIST = 64 << 10
# Another writer has so long to finish the number that it reserved; then it is taken for dead.
_PATIENCE = 15.0
_PAUSE = 2.0
_ATTEMPTS = 50
_BLOB_NAMES = 5


class ActionsCarrier:
    """Implements `Carrier`, `Expiring` and `place.Ranged`. It owns a temporary file of small blobs, until `close`."""

    # What was not used for seven days is removed, and the oldest as soon as a repository has too much.
    expires = True

    def __init__(self, attributes: Attributes, around: Around) -> None:
        self._around = around
        self._attributes = attributes
        self._mutex = threading.RLock()
        self._opened: tuple[ActionsService, str] | None = None
        self._caches: dict[Platform, PlatformCache | None] = {}
        self._listed: tuple[Platform, ...] | None = None
        self._entries: dict[str, ActionsEntry | None] = {}
        # What was read or written, by key: it never changes.
        self._contents: dict[str, bytes] = {}
        # Blobs that were written, or are known to be there, with their place.
        self._known: dict[Digest, Descriptor] | None = None
        self._pack: IO[bytes] | None = None
        self._pack_name = ""

    @property
    def where(self) -> str:
        """Implements `Carrier`."""
        return f"the cache of GitHub Actions (scope {self._attributes.get('scope', 'buildkit')})"

    def platforms(self) -> tuple[Platform, ...]:
        """Implements `Carrier`."""
        with self._mutex:
            if self._listed is None:
                self._listed = self._read_platforms()
            if not self._listed:
                raise NotFoundError(f"{self.where} is empty", "--cache-to type=gha fills it")
            return self._listed

    def may_have(self, platform: Platform, key: str) -> bool:
        """Implements `Carrier`."""
        found = self.read(platform)
        return found is not None and key in found.entries

    def read(self, platform: Platform) -> PlatformCache | None:
        """Implements `Carrier`: the caches of all branches that the token may read, in one."""
        with self._mutex:
            if platform not in self._caches:
                self._caches[platform] = self._read(platform)
            found = self._caches[platform]
        if found is None:
            self.platforms()
        return found

    def write(self, platform: Platform, change: Change) -> PlatformCache:
        """Implements `Carrier`."""
        self._flush()
        service, _ = self._service()
        ref = self._write_ref(service)

        def changed(contents: list[bytes]) -> bytes:
            known: PlatformCache | None = None
            for raw in contents:
                found = replaced.decoded(raw, platform, self.where, self._around.emit)
                known = found if known is None or found is None else merged(known, found)
            return documents.to_json(change(known))

        def listed(contents: list[bytes]) -> bytes:
            return "\n".join(sorted({str(platform)}.union(*map(_lines, contents)))).encode()

        written = self._save_newest(self._name(_dashed(platform), ref), changed, documents.LARGEST_CONFIG)
        self._save_newest(self._name("platforms", ref), listed, _LARGEST_LIST)
        with self._mutex:
            self._listed = None
            self._caches.pop(platform, None)
        return documents.from_json(written)

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Implements `Carrier`: some cache here names it, and its entry is still there."""
        if PLACE in descriptor.annotations:
            return self._find(_place_of(descriptor)[0]) is not None
        with self._mutex:
            known = self._blobs()
            found = known.get(descriptor.digest)
            if found is None and descriptor.size >= _SMALL:
                found = _placed(descriptor, _blob_keys(descriptor.digest)[0], 0)
            if found is None or self._find(_place_of(found)[0]) is None:
                return False
            known[descriptor.digest] = found
            return True

    def write_blob(self, descriptor: Descriptor, content: Readable) -> None:
        """Implements `Carrier`. Small blobs are sent by the next `write`."""
        reader = verifying(content, descriptor)
        if descriptor.size < _SMALL:
            data = reader.read()
            with self._mutex:
                name, offset = self._append(data)
        else:
            name, offset = self._save_blob(descriptor, reader), 0
        with self._mutex:
            self._blobs()[descriptor.digest] = _placed(descriptor, name, offset)

    def recorded(self, descriptor: Descriptor) -> Descriptor:
        """Implements `Carrier`: with the key of its entry, and where it begins there."""
        with self._mutex:
            return (self._known or {}).get(descriptor.digest, descriptor)

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """Implements `Carrier`."""
        entry, offset = self._located(descriptor)
        content = self._service()[0].open(entry, offset, descriptor.size)
        return VerifyingReader(content, descriptor, content.close, self.where)

    def read_range(self, descriptor: Descriptor, offset: int, size: int) -> bytes:
        """Implements `place.Ranged`."""
        entry, start = self._located(descriptor)
        end = min(offset + size, descriptor.size)
        with self._service()[0].open(entry, start + offset, max(end - offset, 0)) as reader:
            return reader.read()

    def close(self) -> None:
        """Implements `Carrier`."""
        with self._mutex:
            if self._pack is not None:
                self._pack.close()
                self._pack = None

    # ── names

    def _service(self) -> tuple[ActionsService, str]:
        """The service, and the scope of the cache. Raises UsageError without a service or for a bad token."""
        with self._mutex:
            if self._opened is None:
                settings = actions_settings.parse(*split(self._attributes))
                if settings is None:
                    raise UsageError(f"type=gha: {actions_settings.ABSENT}", "actions have them, `run:` steps do not")
                token = actions_token.parse(settings.token, self._around.now)
                service = ActionsService(self._around.registry.transport, settings, token)
                self._opened = service, settings.scope
            return self._opened

    def _name(self, part: str, ref: str) -> str:
        """The beginning of the keys of something that changes. It ends with a delimiter, because the service compares
        beginnings only.
        """
        scope = self._service()[1]
        marked = hashlib.sha256("\0".join((scope, part, ref)).encode("utf-8", "surrogateescape")).hexdigest()[:8]
        return f"polyarch-1-{scope}-{part}-{marked}#"

    def _write_ref(self, service: ActionsService) -> str:
        ref = service.token.write_ref
        if ref is None:
            raise ReadOnlyError("the token may not write", "a pull request from a fork only reads the cache")
        return ref

    # ── reading

    def _read(self, platform: Platform) -> PlatformCache | None:
        service, _ = self._service()
        names = [self._name(_dashed(platform), ref) for ref in service.token.read_refs]
        found: PlatformCache | None = None
        for raw in together(lambda name: self._newest(service, name, documents.LARGEST_CONFIG)[1], names, 4):
            if raw is not None:
                cache = documents.from_json(raw)
                # The first is the job's own branch, and the places of its blobs are the ones to keep.
                found = cache if found is None else merged(cache, found)
        return found

    def _read_platforms(self) -> tuple[Platform, ...]:
        service, _ = self._service()
        lines: set[str] = set()
        names = [self._name("platforms", ref) for ref in service.token.read_refs]
        for raw in together(lambda name: self._newest(service, name, _LARGEST_LIST)[1], names, 4):
            lines |= _lines(raw)
        found = []
        for line in sorted(lines):
            try:
                found.append(platforms.parse(line))
            except PolyarchError:
                continue
        return tuple(found)

    def _blobs(self) -> dict[Digest, Descriptor]:
        """The blobs of all platforms, and those that were written. Call it with the mutex held."""
        if self._known is None:
            self._known = {}
            with contextlib.suppress(NotFoundError):
                for platform in self.platforms():
                    with contextlib.suppress(CorruptError, UnsupportedError):
                        cache = self.read(platform)
                        found = {} if cache is None else cache.blobs
                        self._known |= {digest: blob for digest, blob in found.items() if PLACE in blob.annotations}
        return self._known

    def _located(self, descriptor: Descriptor) -> tuple[ActionsEntry, int]:
        name, offset = _place_of(descriptor)
        entry = self._find(name)
        if entry is None:
            raise NotFoundError(f"{self.where} has no {descriptor.digest}", "the service removed it meanwhile")
        return entry, offset

    def _find(self, key: str) -> ActionsEntry | None:
        """The entry of a blob, asked for once."""
        with self._mutex:
            if key == self._pack_name:
                return ActionsEntry(key, "")
            if key in self._entries:
                return self._entries[key]
        found = self._service()[0].find(key) if key else None
        with self._mutex:
            self._entries[key] = found
        return found

    # ── writing

    def _save_newest(self, name: str, change: Callable[[list[bytes]], bytes], limit: int) -> bytes:
        """Write the next number of a name, until the newest needs no change. Returns its content.

        `change` gets the contents to change, which are several if writers did not see each other.
        """
        service, _ = self._service()
        waited, skipped = 0.0, 0
        for _ in range(_ATTEMPTS):
            number, contents = self._latest(name, limit)
            content = change(contents)
            if contents == [content]:
                return content
            key = f"{name}{number + 1 + skipped}"
            try:
                service.save(key, io.BytesIO(content), len(content))
                self._contents[key] = content
                skipped = 0
            except ConflictError:
                # Another writer reserved it. It may have died since, and then the number is never finished.
                if waited < _PATIENCE:
                    waited += _PAUSE
                    service.sleep(_PAUSE)
                else:
                    skipped += 1
        raise RegistryError(f"{self.where} changed each time it was written", "give this build a scope= of its own")

    def _latest(self, name: str, limit: int) -> tuple[int, list[bytes]]:
        """The highest number of a name, and what it holds.

        A writer that was taken for dead may finish a number below the highest one, which makes that the newest.
        """
        service, _ = self._service()
        number, newest = self._newest(service, name, limit)
        contents = [] if newest is None else [newest]
        while (entry := service.find(f"{name}{number + 1}")) is not None:
            number += 1
            contents.append(self._content(service, entry, limit))
        return number, contents

    def _newest(self, service: ActionsService, name: str, limit: int) -> tuple[int, bytes | None]:
        """The number of the newest entry of a name, 0 for none, and its content. Raises CorruptError."""
        entry = service.find(name, [name])
        return (0, None) if entry is None else (_number(entry.key, name), self._content(service, entry, limit))

    def _content(self, service: ActionsService, entry: ActionsEntry, limit: int) -> bytes:
        if entry.key not in self._contents:
            self._contents[entry.key] = service.load(entry, limit)
        return self._contents[entry.key]

    def _append(self, data: bytes) -> tuple[str, int]:
        """Add a small blob to the pack: the key of its entry, and where it begins there."""
        if self._pack is None:
            self._pack = tempfile.TemporaryFile(dir=self._around.store.layout.temporary)  # noqa: SIM115
            self._pack_name = f"polyarch-1-pack-{os.urandom(12).hex()}"
        name, offset = self._pack_name, self._pack.tell()
        self._pack.write(data)
        if offset + len(data) >= _LARGEST_PACK:
            self._flush()
        return name, offset

    def _flush(self) -> None:
        """Send the pack, if there is one."""
        with self._mutex:
            if self._pack is None:
                return
            pack, self._pack = self._pack, None
            with pack:
                size = pack.tell()
                pack.seek(0)
                self._service()[0].save(self._pack_name, pack, size)
            self._pack_name = ""

    def _save_blob(self, descriptor: Descriptor, content: Readable) -> str:
        """Write an entry for a large blob, and return its key."""
        service, _ = self._service()
        for key in _blob_keys(descriptor.digest):
            try:
                service.save(key, content, descriptor.size)
            except ConflictError:
                # Written meanwhile; or another writer is at it, or died at it, and the key is lost.
                if service.find(key) is None:
                    continue
            with self._mutex:
                self._entries.pop(key, None)
            return key
        raise RegistryError(f"{self.where}: all keys of {descriptor.digest} are taken", "uploads of it failed before")


def _dashed(platform: Platform) -> str:
    return str(platform).replace("/", "-")


def _blob_keys(digest: Digest) -> tuple[str, ...]:
    first = f"polyarch-1-blob-{digest.replace(':', '-')}"
    return (first, *(f"{first}-{number}" for number in range(2, _BLOB_NAMES + 1)))


def _placed(descriptor: Descriptor, key: str, offset: int) -> Descriptor:
    annotations = {**descriptor.annotations, PLACE: f"{key} {offset}"}
    return msgspec.structs.replace(descriptor, annotations=annotations)


def _place_of(descriptor: Descriptor) -> tuple[str, int]:
    """The key of the entry that has a blob, and where the blob begins there. Raises CorruptError."""
    key, _, offset = descriptor.annotations.get(PLACE, "").rpartition(" ")
    if not key.startswith("polyarch-1-") or not (offset.isascii() and offset.isdigit() and len(offset) < 16):
        raise CorruptError(f"the cache does not say where {descriptor.digest} is")
    return key, int(offset)


def _number(key: str, name: str) -> int:
    number = key.removeprefix(name)
    if not (number.isascii() and number.isdigit() and len(number) < 16):
        raise CorruptError(f"the cache of GitHub Actions has the key {key}, which does not end with a number")
    return int(number)


def _lines(raw: bytes | None) -> set[str]:
    return set(filter(None, (raw or b"").decode("utf-8", "replace").splitlines()))
