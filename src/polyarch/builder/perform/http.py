"""ADD of a URL: the file is fetched into the store, and again only if it changed.

The cache remembers downloads by URL, and by URL and checksum. A file whose checksum is in the Dockerfile needs no
network once it was fetched. The content of another URL is not used, even with the right checksum: a build does not
depend on what was built before.
"""

import hashlib
import threading
from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.builder.perform.copy.files import FlatFiles
from polyarch.errors import CorruptError
from polyarch.layers.entry import Entry
from polyarch.oci import digest as digests
from polyarch.oci import retry as retries
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.retry import Retry
from polyarch.store import tables
from polyarch.store.tables import Kept, Table

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.registry.download import Download
    from polyarch.store import Store

_CHUNK = 1 << 20


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """A download: the digest and size of its bytes, its time (seconds), and the server's ETag and Last-Modified."""

    digest: Digest
    size: int
    mtime: int
    etag: str = ""
    modified: str = ""


_DOWNLOADS: Table[str, Fetched] = Table(
    tables.DOWNLOAD,
    msgspec.json.encode,
    msgspec.json.Decoder(Fetched).decode,
    lambda fetched: Kept(frozenset((fetched.digest,))),
)


class Downloads:
    """Fetches URLs for one build, each once; safe from many threads. It owns nothing that must be closed.

    With `ignore_cache`, downloads of earlier builds are not used. `retry` applies to a file that must be fetched again
    from its beginning.
    """

    def __init__(
        self,
        store: "Store",
        registry: "Registry",
        emit: progress.Emit,
        *,
        ignore_cache: bool = False,
        retry: Retry = retries.REOPEN,
    ) -> None:
        self._store = store
        self._registry = registry
        self._emit = emit
        self._ignore_cache = ignore_cache
        self._retry = retry
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Lock] = {}
        self._fetched: dict[tuple[str, str], Fetched] = {}

    def fetch(self, url: str, checksum: str = "") -> Fetched:
        """Bring the current content of `url`, or that with `checksum` (a digest), into the store.

        Raises CorruptError if the content has another checksum, NotFoundError, RegistryError.
        """
        with self._lock:
            busy = self._busy.setdefault(url, threading.Lock())
        with busy:
            if (url, checksum) not in self._fetched:
                self._fetched[url, checksum] = self._get(url, checksum)
            return self._fetched[url, checksum]

    def path(self, fetched: Fetched) -> str:
        """The file with the bytes. It is leased: it exists as long as the store is open."""
        return str(self._store.blob_path(fetched.digest))

    def files(self, fetched: Fetched, name: str) -> FlatFiles:
        """The content as a single file. As in BuildKit, it has mode 0600 and belongs to root."""
        entry = Entry(path=name, kind="file", mode=0o600, size=fetched.size, mtime=fetched.mtime)
        path = self.path(fetched)
        return FlatFiles((entry,), lambda _: path, lambda _: fetched.digest)

    def _get(self, url: str, checksum: str) -> Fetched:
        pinned = f"{checksum} {url}" if checksum else ""
        known = self._known(pinned) if pinned else None
        if known is not None:
            return known
        remembered = self._known(url)
        found = self._retry.call(lambda: self._ask(url, checksum, remembered))
        keys = (url, pinned) if pinned else (url,)
        _DOWNLOADS.put_many(self._store.cache, [(_key(key), found) for key in keys])
        return found

    def _ask(self, url: str, checksum: str, known: Fetched | None) -> Fetched:
        etag, modified = (known.etag, known.modified) if known else ("", "")
        with self._registry.download(url, etag, modified) as answer:
            if answer.unchanged and known is not None:
                if checksum and known.digest != checksum:
                    raise _mismatch(url, known.digest, checksum)
                return known
            unit = f"fetch {url}"
            self._emit(progress.Started(unit, f"fetch {_shown(url)}"))
            try:
                fetched = self._store_content(url, checksum, answer, unit)
            except Exception as error:
                self._emit(progress.failed(unit, error))
                raise
            self._emit(progress.Finished(unit))
            return fetched

    def _store_content(self, url: str, checksum: str, answer: "Download", unit: str) -> Fetched:
        wanted = digests.parse(checksum) if checksum else None
        # The store hashes by SHA-256 anyway.
        other = digests.hasher(wanted) if wanted is not None and digests.algorithm(wanted) != "sha256" else None
        size = 0
        with self._store.new_blob() as writer:
            while chunk := answer.read(_CHUNK):
                writer.write(chunk)
                size += len(chunk)
                if other is not None:
                    other.update(chunk)
                self._emit(progress.Transferred(unit, _shown(url), size, answer.size))
            if wanted is not None:
                found = writer.digest if other is None else f"{digests.algorithm(wanted)}:{other.hexdigest()}"
                if found != wanted:
                    raise _mismatch(url, found, wanted)
            digest, size = writer.commit(None)
        return Fetched(digest=digest, size=size, mtime=answer.mtime, etag=answer.etag, modified=answer.modified)

    def _known(self, key: str) -> Fetched | None:
        """The cached download of a URL, or of a checksum and a URL, if its bytes are still in the store."""
        found = _DOWNLOADS.get(self._store.cache, _key(key)) if not self._ignore_cache else None
        if found is None:
            return None
        blob = Descriptor(media_type="application/octet-stream", digest=found.digest, size=found.size)
        return found if self._store.has_blob(blob) else None


def _key(of: str) -> str:
    # A hash, because a URL may have a password or token, which must not be in the cache's file.
    return hashlib.sha256(of.encode("utf-8", "surrogateescape")).hexdigest()


def _mismatch(url: str, found: str, wanted: str) -> CorruptError:
    return CorruptError(
        f"digest mismatch {found}: {wanted} ({_shown(url)})",
        "the file has changed since the checksum was written, or the checksum is wrong",
    )


def _shown(url: str) -> str:
    from polyarch.oci.urls import redact

    return redact(url)
