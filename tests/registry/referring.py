"""A registry in memory that knows subjects (distribution-spec 1.1), because Debian's does not. On loopback.

`serving_referrers()` gives one. Its fields change what it does: the pages of its lists, conditions, lies, refusals.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any

from polyarch.oci import media_types
from tests.registry.faults import Answer, Asked, Server, serving

_INDEX = {"Content-Type": media_types.OCI_INDEX}


class ReferringRegistry:
    """What the server has: `blobs` by digest, `manifests` by digest (type, bytes), `tags`, all in any repository."""

    def __init__(self) -> None:
        self.server: Server
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.tags: dict[str, str] = {}
        # How many referrers a page has; whether there is the list at all; whether a manifest may have a subject.
        self.page = 1000
        self.lists = True
        self.takes_subjects = True
        # Refuse a manifest whose subject is not there (as GitLab does); honour If-Match.
        self.wants_subject_first = False
        self.conditions = False
        # Further descriptors for the list of a subject: lies.
        self.lies: dict[str, list[dict[str, Any]]] = {}
        # Called before an answer, if it is for a test to interfere; what it returns is the answer.
        self.before: Callable[[Asked], Answer | None] = lambda asked: None
        self._lock = Lock()

    @property
    def address(self) -> str:
        return self.server.address

    def document(self, digest: str) -> Any:
        return json.loads(self.manifests[digest][1])

    def answer(self, asked: Asked) -> Answer:
        if (found := self.before(asked)) is not None:
            return found
        with self._lock:
            return self._answer(asked)

    def _answer(self, asked: Asked) -> Answer:
        parts = asked.path.split("/")
        match asked.method, parts[-2:]:
            case _, ["v2", ""]:
                return Answer()
            case "POST", ["uploads", ""]:
                return Answer(202, {"Location": f"{asked.path}one"})
            case "PUT", ["uploads", _]:
                digest = asked.query["digest"][0]
                if _digest(asked.body) != digest:
                    return _error(400, "DIGEST_INVALID")
                self.blobs[digest] = asked.body
                return Answer(201, {"Location": "/", "Docker-Content-Digest": digest})
            case "GET" | "HEAD", ["blobs", digest]:
                if digest not in self.blobs:
                    return _error(404, "BLOB_UNKNOWN")
                return Answer(200, {"Docker-Content-Digest": digest}, self.blobs[digest])
            case "GET" | "HEAD", ["manifests", reference]:
                return self._manifest(reference)
            case "PUT", ["manifests", reference]:
                return self._put(reference, asked)
            case "GET", ["referrers", digest] if self.lists:
                return self._list(digest, asked)
            case "GET", ["tags", "list"]:
                return Answer(body=json.dumps({"name": "any", "tags": sorted(self.tags)}).encode())
        return Answer(404, {"Content-Type": "text/plain"}, b"404 page not found\n")

    def _manifest(self, reference: str) -> Answer:
        digest = self.tags.get(reference, reference)
        if digest not in self.manifests:
            return _error(404, "MANIFEST_UNKNOWN")
        media_type, raw = self.manifests[digest]
        return Answer(200, {"Content-Type": media_type, "Docker-Content-Digest": digest, "ETag": f'"{digest}"'}, raw)

    def _put(self, reference: str, asked: Asked) -> Answer:
        document = json.loads(asked.body)
        subject = document.get("subject")
        if subject is not None and not self.takes_subjects:
            return _error(400, "MANIFEST_INVALID")
        if subject is not None and self.wants_subject_first and subject["digest"] not in self.manifests:
            return _error(404, "MANIFEST_UNKNOWN")
        named = [*document.get("layers", []), *filter(None, [document.get("config")])]
        if any(entry["digest"] not in self.blobs for entry in named):
            return _error(400, "MANIFEST_BLOB_UNKNOWN")
        condition = asked.headers.get("If-Match", "")
        if self.conditions and condition and condition != f'"{self.tags.get(reference, "")}"':
            return _error(412, "DENIED")
        digest = _digest(asked.body)
        self.manifests[digest] = (asked.headers["Content-Type"], asked.body)
        if ":" not in reference:
            self.tags[reference] = digest
        headers = {"Location": "/", "Docker-Content-Digest": digest}
        return Answer(201, headers | ({"OCI-Subject": subject["digest"]} if subject and self.lists else {}))

    def _list(self, digest: str, asked: Asked) -> Answer:
        listed = [self._entry(one) for one in self.manifests if self.subject(one) == digest] + self.lies.get(digest, [])
        first = int(asked.query.get("from", ["0"])[0])
        page = listed[first : first + self.page]
        body = json.dumps({"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": page}).encode()
        end = first + self.page
        return Answer(
            200, _INDEX | ({"Link": f'<{asked.path}?from={end}>; rel="next"'} if end < len(listed) else {}), body
        )

    def subject(self, digest: str) -> str:
        return str((self.document(digest).get("subject") or {}).get("digest", ""))

    def _entry(self, digest: str) -> dict[str, Any]:
        media_type, raw = self.manifests[digest]
        document = json.loads(raw)
        kind = document.get("artifactType") or document.get("config", {}).get("mediaType", "")
        entry = {"mediaType": media_type, "digest": digest, "size": len(raw), "artifactType": kind}
        return entry | {"annotations": document.get("annotations") or {}}


def _digest(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def _error(status: int, code: str) -> Answer:
    return Answer(status, body=json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode())


@contextlib.contextmanager
def serving_referrers() -> Iterator[ReferringRegistry]:
    """A registry until the block ends."""
    registry = ReferringRegistry()
    with serving(registry.answer) as server:
        registry.server = server
        yield registry
