"""The cache service of GitHub Actions, version 2: Twirp calls in JSON, and contents behind signed URLs.

An entry has a key and never changes. It is reserved, written in blocks as in Azure's Blob Storage, and finished; it
costs three requests, which are limited. A look-up by prefix finds the newest entry. Each branch has its own entries; a
job reads those of its branch first, then those of the branch that it targets and of the default branch.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from polyarch.buildcache.actions_settings import ActionsSettings
from polyarch.buildcache.actions_token import ActionsToken
from polyarch.buildcache.blocks import blocks, together
from polyarch.buildcache.carrier import ReadOnlyError
from polyarch.buildcache.ranged import ResumedRange, positioned
from polyarch.distribution import headers
from polyarch.distribution.errors import RETRYABLE_STATUSES, describe
from polyarch.errors import ConflictError, CorruptError, NotFoundError, RegistryError
from polyarch.oci.place import Readable
from polyarch.oci.retry import Retry
from polyarch.oci.urls import authority
from polyarch.registry.http import Body, Transport
from polyarch.registry.response import Response

_METHODS = "twirp/github.actions.results.api.v1.CacheService"
# Separates our keys from those of other programs: SHA-256 of `|polyarch-1`. Any text would do.
VERSION = "89a20afcfe2ed0792ba9c99d7b33a1c410bd93b535f8bbc77320238eb29e37ef"
_BLOCK = 16 << 20
_PARALLEL = 4
_API = "2024-11-04"
_LONGEST = 200
# What the service says of a token that may only read, before the reason.
_DENIED = "cache write denied"


class ActionsEntry(msgspec.Struct, frozen=True):
    """An entry as a look-up found it. The URL is signed and soon expires, so it is neither shown nor kept."""

    key: str
    url: str

    def __repr__(self) -> str:
        return f"ActionsEntry(key={self.key!r})"


class ActionsService:
    """The entries that a job may see. It owns nothing: the transport is the registry's. Threads may share it.

    Each method raises RegistryError where the service refuses or cannot be reached.
    """

    def __init__(self, transport: Transport, settings: ActionsSettings, token: ActionsToken) -> None:
        self._transport = transport
        self._settings = settings
        self.token = token
        # URLs that were renewed, by key.
        self._urls: dict[str, str] = {}

    @property
    def sleep(self) -> Callable[[float], None]:
        """How a caller waits for another writer."""
        return self._transport.sleep

    def find(self, key: str, prefixes: Sequence[str] = ()) -> ActionsEntry | None:
        """The entry `key`, or else the newest one whose key begins with one of `prefixes`; None if there is none.

        The service also returns entries that only begin with `key`: those are ignored.
        """
        asked = {"key": key, "restore_keys": list(prefixes), "version": VERSION}
        found = self._call("GetCacheEntryDownloadURL", asked, f"cannot look for {key}")
        name, url = found.get("matched_key"), found.get("signed_download_url")
        if not found.get("ok") or not isinstance(url, str) or not url:
            return None
        if not isinstance(name, str) or not name:
            name = key
        if name != key and not any(name.startswith(prefix) for prefix in prefixes):
            return None
        return ActionsEntry(name, url)

    def save(self, key: str, content: Readable, size: int) -> None:
        """Write an entry of `size` bytes. Raises ConflictError if the key is taken, ReadOnlyError, and what reading
        raises.

        A key stays taken if the upload fails: the service has no way to give it back.
        """
        url = self._reserve(key)
        self._upload(url, content, size, f"cannot write {key}")
        asked = {"key": key, "version": VERSION, "size_bytes": str(size)}
        found = self._call("FinalizeCacheEntryUpload", asked, f"cannot finish {key}")
        if not found.get("ok"):
            raise RegistryError(f"cannot finish {key}: {self._said(found)}", "another job may have written the key")

    def open(self, entry: ActionsEntry, offset: int, size: int) -> ResumedRange:
        """`size` bytes of an entry from `offset`. Raises NotFoundError; CorruptError if it is shorter."""
        return ResumedRange(
            lambda start, end: self._open(entry, start, end), offset, size, self._transport.retry, self._transport.sleep
        )

    def load(self, entry: ActionsEntry, limit: int) -> bytes:
        """The content of an entry of at most `limit` bytes. Raises CorruptError if it is longer, NotFoundError."""
        with self._open(entry) as response:
            content = response.body(limit + 1)
        if len(content) > limit:
            raise CorruptError(f"the entry {entry.key} is longer than {limit} bytes")
        return content

    def _reserve(self, key: str) -> str:
        """The URL that the entry is written to."""
        found = self._call("CreateCacheEntry", {"key": key, "version": VERSION}, f"cannot write {key}")
        url = found.get("signed_upload_url")
        if found.get("ok") and isinstance(url, str) and url:
            return url
        said = self._said(found)
        if said.startswith(_DENIED):
            raise ReadOnlyError(said)
        raise ConflictError(f"the key {key} is taken: {said}")

    def _upload(self, url: str, content: Readable, size: int, what: str) -> None:
        if size <= _BLOCK:
            self._put(url, content.read(), what, {"x-ms-blob-type": "BlockBlob"})
            return
        # Block ids are base64 of texts of one length.
        names = [base64.b64encode(f"{number:032}".encode()).decode() for number in range(-(-size // _BLOCK))]
        together(
            lambda block: self._put(_with(url, "block", blockid=block[0]), block[1], what, {}),
            zip(names, blocks(content, _BLOCK), strict=True),
            _PARALLEL,
        )
        listed = "".join(f"<Latest>{name}</Latest>" for name in names)
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'.encode()
        self._put(_with(url, "blocklist"), body, what, {"Content-Type": "application/xml"})

    def _put(self, url: str, content: bytes, what: str, sent: dict[str, str]) -> None:
        sent = {"Content-Type": "application/octet-stream", "x-ms-version": _API, **sent}
        with self._transport.send("PUT", url, sent, Body(content)) as response:
            if response.status not in (200, 201):
                raise self._unexpected(response, what)

    def _open(self, entry: ActionsEntry, start: int = 0, end: int | None = None) -> Response:
        response = self._download(self._urls.get(entry.key, entry.url), start, end)
        if response.status in (401, 403):
            # The URL has expired, or the entry was replaced on its server: a new one is asked for once.
            response.close()
            renewed = self.find(entry.key)
            if renewed is None:
                raise NotFoundError(f"the entry {entry.key} is gone", "the service removed it meanwhile")
            self._urls[entry.key] = renewed.url
            response = self._download(renewed.url, start, end)
        if response.status == 404:
            response.close()
            raise NotFoundError(f"the entry {entry.key} is gone", "the service removed it meanwhile")
        if response.status not in (200, 206, 416):
            raise self._unexpected(response, f"cannot read {entry.key}")
        return positioned(response, start, entry.key)

    def _download(self, url: str, start: int, end: int | None) -> Response:
        sent = {"x-ms-version": _API}
        if end is not None:
            sent["Range"] = headers.byte_range(start, end)
        return self._transport.send("GET", url, sent)

    def _call(self, method: str, asked: Mapping[str, object], what: str) -> dict[str, Any]:
        """The answer to a Twirp call. Raises ConflictError, ReadOnlyError, RegistryError."""
        sent = {"Authorization": f"Bearer {self.token.text}", "Content-Type": "application/json"}
        url = f"{self._settings.url}/{_METHODS}/{method}"
        body = Body(msgspec.json.encode(asked))
        with self._transport.send("POST", url, sent, body, retry=self._retry()) as response:
            answer = _object(response.body())
            if response.status == 200:
                if answer is None:
                    raise RegistryError(f"{what}: {authority(url)} does not answer as the cache service does")
                return answer
            said = self._said(answer or {})
            if answer is not None and answer.get("code") == "already_exists":
                raise ConflictError(f"the key is taken: {said}")
            if said.startswith(_DENIED):
                raise ReadOnlyError(said)
            raise self._unexpected(response, what, said)

    def _retry(self) -> Retry:
        """The transport's, with only as many attempts as there is time for."""
        retry, waited = self._transport.retry, 0.0
        for number in range(retry.attempts):
            if waited > self._settings.timeout:
                return Retry(max(number, 1), retry.delay)
            waited += retry.delay * 2**number
        return retry

    def _said(self, answer: dict[str, Any]) -> str:
        """What the service says, in its own words: Twirp's `msg`, or the `message` of newer answers."""
        text = next((str(answer[name]) for name in ("msg", "message", "code") if answer.get(name)), "no reason")
        # The text of a foreign server: neither control characters nor our own token.
        text = text.replace(self.token.text, "…")
        return "".join(letter if letter.isprintable() else " " for letter in text)[:_LONGEST]

    def _unexpected(self, response: Response, what: str, said: str = "") -> RegistryError:
        status = response.status
        response.close()
        hint = None
        if "insufficient usage" in said:
            hint = "the storage of the repository's caches is used up"
        elif status == 401:
            hint = "the token is wrong or has expired: it lives as long as the job"
        elif status == 429:
            hint = "the service limits requests: fewer exports at a time, or mode=min, need fewer"
        words = said if said and said != "no reason" else describe(status)
        return RegistryError(
            f"{what}: {authority(response.url)} answered {words}",
            hint,
            status=status,
            retryable=status in RETRYABLE_STATUSES,
            exhausted=response.exhausted,
        )


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None


def _with(url: str, component: str, **query: str) -> str:
    """A signed URL for a part of the work on a blob. The signature does not cover these parameters."""
    from urllib.parse import quote

    extra = "".join(f"&{name}={quote(value, safe='')}" for name, value in query.items())
    return f"{url}{'&' if '?' in url else '?'}comp={component}{extra}"
