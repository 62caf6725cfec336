"""The cache service of GitHub Actions, version 2, on loopback: what it promises, and what it does to clients.

Entries are immutable and belong to a ref. A look-up by prefix finds the newest of the first ref that has one. URLs are
signed and expire, requests are throttled, tokens may only read.
"""

import base64
import contextlib
import itertools
import json
import re
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from tests.registry.faults import Answer, Asked, Server, serving

_METHODS = "/twirp/github.actions.results.api.v1.CacheService/"
NOW = 1_790_000_000.0


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def token(*scopes: tuple[str, int], expires: float = NOW + 3600, **more: Any) -> str:
    """A token for (ref, permission) pairs, with a signature that fits nothing."""
    controls = json.dumps([{"Scope": ref, "Permission": permission} for ref, permission in scopes])
    claims = {"ac": controls, "exp": int(expires), "nbf": int(expires) - 7200, **more}
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    return ".".join([*(_base64(json.dumps(part).encode()) for part in parts), _base64(b"signed")])


MAIN = token(("refs/heads/main", 3))
# A pull request writes its own ref, and reads that of its target.
PULL = token(("refs/pull/7/merge", 3), ("refs/heads/main", 1))
FORK = token(("refs/pull/8/merge", 1), ("refs/heads/main", 1))


class _Entry:
    def __init__(self, number: int) -> None:
        self.number = number
        self.blocks: dict[str, bytes] = {}
        self.content: bytes | None = None
        self.finished = False


class ActionsServer:
    """The state of the service. Tests set `throttled` (how many requests get 429), `generation` (a larger one makes
    all signed URLs expire), `refusal` (what CreateCacheEntry answers), `answers` (what everything answers) and `short`
    (how many bytes contents lack at their end).
    """

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str, str], _Entry] = {}
        self.throttled = 0
        self.generation = 1
        self.refusal: Answer | None = None
        self.answers: Answer | None = None
        self.short = 0
        self.server: Server
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    @property
    def url(self) -> str:
        return f"{self.server.url}/"

    def methods(self) -> list[str]:
        """The calls so far, without blobs."""
        return [asked.path.removeprefix(_METHODS) for asked in self.server.asked if asked.path.startswith(_METHODS)]

    def keys(self, ref: str = "refs/heads/main") -> list[str]:
        """The keys of the finished entries of a ref, in order."""
        found = [(entry.number, key) for (own, key, _), entry in self.entries.items() if own == ref and entry.finished]
        return [key for _, key in sorted(found)]

    def content(self, key: str, ref: str = "refs/heads/main") -> bytes:
        return next(entry.content or b"" for (own, name, _), entry in self.entries.items() if (own, name) == (ref, key))

    def forget(self, pattern: str) -> None:
        """Evict the entries whose keys match."""
        self.entries = {names: entry for names, entry in self.entries.items() if not re.search(pattern, names[1])}

    def touch(self, key: str, ref: str = "refs/heads/main") -> None:
        """Make an entry the newest."""
        for names, entry in self.entries.items():
            if names[:2] == (ref, key):
                entry.number = next(self._numbers)

    def answer(self, asked: Asked) -> Answer:
        with self._lock:
            if self.answers is not None:
                return self.answers
            if asked.path.startswith("/blob/"):
                found = self._blob(asked)
                # Azure's answers have it, and its clients read it.
                return found._replace(headers={"x-ms-request-id": "1", **found.headers})
            if not asked.path.startswith(_METHODS) or asked.method != "POST":
                return Answer(404)
            if self.throttled:
                self.throttled -= 1
                return _json({"code": "resource_exhausted", "msg": "slow down"}, 429, {"Retry-After": "1"})
            scopes = _scopes(asked.authorization)
            if scopes is None:
                return _json({"code": "unauthenticated", "msg": "bad token"}, 401)
            call = json.loads(asked.body)
            method = asked.path.removeprefix(_METHODS)
            return {
                "CreateCacheEntry": self._create,
                "FinalizeCacheEntryUpload": self._finalize,
                "GetCacheEntryDownloadURL": self._find,
            }[method](call, scopes)

    def _create(self, call: dict[str, Any], scopes: list[tuple[str, int]]) -> Answer:
        if self.refusal is not None:
            return self.refusal
        ref = next((ref for ref, permission in scopes if permission & 2), None)
        if ref is None:
            return _json({"ok": False, "message": "cache write denied: token has no writable scopes"})
        names = (ref, call["key"], call["version"])
        if names in self.entries:
            return _json({"code": "already_exists", "msg": "cache entry with the same key already exists"}, 409)
        self.entries[names] = _Entry(next(self._numbers))
        return _json({"ok": True, "signed_upload_url": self._signed(names)})

    def _finalize(self, call: dict[str, Any], scopes: list[tuple[str, int]]) -> Answer:
        for ref, permission in scopes:
            entry = self.entries.get((ref, call["key"], call["version"]))
            if entry is not None and permission & 2 and entry.content is not None:
                entry.finished = len(entry.content) == int(call["size_bytes"])
                return _json({"ok": entry.finished, "entry_id": str(entry.number)})
        return _json({"code": "not_found", "msg": "no such upload"}, 404)

    def _find(self, call: dict[str, Any], scopes: list[tuple[str, int]]) -> Answer:
        for ref, _ in scopes:
            for wanted in (call["key"], *call["restore_keys"]):
                found = [
                    (key != wanted, -entry.number, names)
                    for names, entry in self.entries.items()
                    if (key := names[1]).startswith(wanted)
                    and entry.finished
                    and (names[0], names[2]) == (ref, call["version"])
                ]
                if found:
                    names = min(found)[2]
                    return _json({"ok": True, "signed_download_url": self._signed(names), "matched_key": names[1]})
        return _json({"ok": False, "signed_download_url": "", "matched_key": ""})

    def _signed(self, names: tuple[str, str, str]) -> str:
        number = self.entries[names].number
        return f"{self.server.url}/blob/{number}?sig={quote('a+b/c=', safe='')}&generation={self.generation}"

    def _blob(self, asked: Asked) -> Answer:
        query = {name: values[0] for name, values in asked.query.items()}
        entry = next((one for one in self.entries.values() if str(one.number) == asked.path.rpartition("/")[2]), None)
        if query.get("sig") != "a+b/c=" or int(query["generation"]) < self.generation:
            return Answer(403, {"x-ms-error-code": "AuthenticationFailed"}, b"<Error/>")
        if asked.authorization or entry is None:
            return Answer(404 if entry is None else 400)
        if asked.method == "PUT":
            return self._put(asked, entry, query)
        content = entry.content or b""
        content = content[: len(content) - self.short]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", asked.headers.get("Range", ""))
        if wanted is None:
            return Answer(200, {}, content)
        start, end = int(wanted[1]), min(int(wanted[2]) + 1, len(content))
        if start >= len(content):
            return Answer(416, {"Content-Range": f"bytes */{len(content)}"})
        return Answer(206, {"Content-Range": f"bytes {start}-{end - 1}/{len(content)}"}, content[start:end])

    def _put(self, asked: Asked, entry: _Entry, query: dict[str, str]) -> Answer:
        match query.get("comp"):
            case "block":
                entry.blocks[query["blockid"]] = asked.body
                if len({len(base64.b64decode(name)) for name in entry.blocks}) > 1:
                    return Answer(400, {}, b"InvalidBlobOrBlock")
            case "blocklist":
                names = re.findall("<Latest>(.*?)</Latest>", asked.body.decode())
                entry.content = b"".join(entry.blocks[name] for name in names)
            case _:
                if asked.headers.get("x-ms-blob-type") != "BlockBlob":
                    return Answer(400)
                entry.content = asked.body
        return Answer(201)


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(value).encode())


def _scopes(authorization: str) -> list[tuple[str, int]] | None:
    scheme, _, text = authorization.partition(" ")
    parts = text.split(".")
    if scheme != "Bearer" or len(parts) != 3:
        return None
    claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    if "ac" not in claims:
        return [("", 3)]
    return [(one["Scope"], one["Permission"]) for one in json.loads(claims["ac"])]


@contextlib.contextmanager
def actions_server() -> Iterator[ActionsServer]:
    """A service without entries, until the block ends."""
    service = ActionsServer()
    with serving(service.answer) as server:
        service.server = server
        yield service
