"""How a case talks to a server: in a repository of its own, with answers that say what is wrong with them."""

import re
from typing import Any
from urllib.parse import quote, urlsplit

from tests.serve.spec import content
from tests.serve.spec.content import Document
from tests.serve.spec.wire import Answer, Broken, Request, Transport

# What differs from run to run or from case to case, and what it is called in a reason.
_SHAPES = (
    (re.compile(r"/v2/[^?]*?/blobs/uploads/[^/?]+(\?.*)?$"), "an upload"),
    (re.compile(r"/v2/[^?]*?/blobs/uploads/\??.*$"), "blobs/uploads/"),
    (re.compile(r"/v2/[^?]*?/(blobs|manifests|referrers)/(?:sha|md)[0-9a-z+._-]+:[^?]*"), r"\1/DIGEST"),
    (re.compile(r"/v2/[^?]*?/manifests/[^?]*"), "manifests/TAG"),
    (re.compile(r"/v2/[^?]*?/tags/list"), "tags/list"),
    (re.compile(r"\?.*$"), ""),
)
_FEW = 60


class Checked:
    """An answer, and what was asked: each method returns it, or raises Broken."""

    def __init__(self, request: Request, answer: Answer) -> None:
        self.request, self.answer = request, answer

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def body(self) -> bytes:
        return self.answer.body

    def header(self, name: str) -> str | None:
        return self.answer.header(name)

    def broken(self, what: str) -> Broken:
        path = self.request.path
        for pattern, shape in _SHAPES:
            path = pattern.sub(shape, path)
        return Broken(f"{self.request.method} {path}: {what}")

    def require(self, holds: bool, what: str) -> "Checked":
        """`what` is wrong when it does not hold."""
        if not holds:
            raise self.broken(what)
        return self

    def expect(self, *statuses: int, body: bytes | None = None, code: str | None = None, **headers: str) -> "Checked":
        """One of these statuses; the body; a code of an error; and headers (`content_type="text/plain"`)."""
        said = f"status {self.status}, not {' or '.join(map(str, statuses))}"
        self.require(not statuses or self.status in statuses, said + self._codes())
        if body is not None:
            self.require(self.body == body, f"a body of {len(self.body)} bytes, not the {len(body)} that are right")
        if code is not None:
            self.require(code in self.codes(), f"status {self.status} without the code {code}{self._codes()}")
        for key, value in headers.items():
            self.expect_header(key.replace("_", "-").title(), value)
        return self

    def expect_header(self, name: str, value: str) -> "Checked":
        found = self.header(name)
        return self.require(found == value, f"{name} is {'absent' if found is None else 'another'}")

    def expect_digest(self, digest: str) -> "Checked":
        return self.expect_header("Docker-Content-Digest", digest)

    def location(self) -> str:
        """The path and query of Location, which may be relative."""
        found = self.header("Location")
        self.require(bool(found), "without Location")
        parts = urlsplit(found or "")
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def next_page(self) -> str | None:
        """The target of the link to the next page, None if there is none (RFC 8288)."""
        link = self.header("Link")
        if link is None:
            return None
        found = re.fullmatch(r'<([^>]*)>; *rel="?next"?', link)
        if not found:
            raise self.broken('Link is not of the form <URL>; rel="next"')
        parts = urlsplit(found[1])
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def codes(self) -> list[str]:
        document = self.answer.json()
        entries = document.get("errors") if isinstance(document, dict) else None
        return [str(entry.get("code")) for entry in entries or () if isinstance(entry, dict)]

    def _codes(self) -> str:
        return f" ({', '.join(self.codes())})" if self.codes() else ""

    def fields(self) -> dict[str, Any]:
        document = self.answer.json()
        if not isinstance(document, dict):
            raise self.broken("the body is not a JSON object")
        return document

    def listed(self, key: str) -> list[Any]:
        """A list in the JSON body; null is none."""
        found = self.fields().get(key, ...)
        if not isinstance(found, list):
            raise self.broken(f"{key} is {'absent' if found is ... else 'null' if found is None else 'not a list'}")
        return found


class Calls:
    """What a case asks one server. `repository` and `other` are names that only this case uses."""

    def __init__(self, transport: Transport, name: str) -> None:
        self.transport = transport
        self.name = name
        self.repository = f"spec/{name.replace('_', '-')}"
        self.other = f"{self.repository}/other"

    # Requests

    def path(self, *parts: str, repository: str | None = None) -> str:
        return "/".join(["/v2", repository or self.repository, *parts])

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, chunked: bool = False, **headers: str
    ) -> Checked:
        """One request; headers as `content_type="…"`. A request that has a body or might have one says its length."""
        named = tuple((key.replace("_", "-").title(), value) for key, value in headers.items())
        if body is None and method in ("POST", "PUT", "PATCH"):
            body = b""
        request = Request(method, path, named, body, chunked)
        return Checked(request, self.transport.send(request))

    def get_manifest(self, reference: str, repository: str | None = None, **headers: str) -> Checked:
        return self.ask(
            "GET", self.path("manifests", reference, repository=repository), **{"accept": ACCEPT, **headers}
        )

    def head_manifest(self, reference: str, **headers: str) -> Checked:
        return self.ask("HEAD", self.path("manifests", reference), **{"accept": ACCEPT, **headers})

    def put_manifest(self, reference: str, document: Document, **headers: str) -> Checked:
        """Push a manifest, and what is below it before."""
        self.push_blobs(*document.blobs)
        return self.put_only(reference, document, **headers)

    def put_only(self, reference: str, document: Document, **headers: str) -> Checked:
        """Push a manifest alone."""
        path = self.path("manifests", reference)
        return self.ask("PUT", path, document.body, **{"content_type": document.media_type, **headers})

    def get_blob(self, digest: str, repository: str | None = None, **headers: str) -> Checked:
        return self.ask("GET", self.path("blobs", digest, repository=repository), **headers)

    def head_blob(self, digest: str, **headers: str) -> Checked:
        return self.ask("HEAD", self.path("blobs", digest), **headers)

    def tags(self, query: str = "") -> Checked:
        return self.ask("GET", self.path("tags", "list") + query)

    def referrers(self, digest: str, query: str = "", repository: str | None = None) -> Checked:
        return self.ask("GET", self.path("referrers", digest, repository=repository) + query)

    # Preparations: what a case starts from

    def start(self, query: str = "", repository: str | None = None) -> Checked:
        """Open an upload."""
        return self.ask("POST", self.path("blobs", "uploads", "", repository=repository) + query).expect(202)

    def patch(
        self, location: str, body: bytes, first: int | None = None, *, chunked: bool = False, **headers: str
    ) -> Checked:
        """Send a chunk; `first` is the place of its first byte, None for a chunk without Content-Range."""
        if first is not None:
            headers = {"content_range": f"{first}-{first + len(body) - 1}", **headers}
        return self.ask("PATCH", location, body, chunked=chunked, **{"content_type": OCTETS, **headers})

    def close(self, location: str, digest: str, body: bytes | None = None, **headers: str) -> Checked:
        """The PUT that ends an upload."""
        return self.ask(
            "PUT", with_query(location, f"digest={quote(digest)}"), body, **{"content_type": OCTETS, **headers}
        )

    def push_blob(self, blob: bytes, *, algorithm: str = "sha256", repository: str | None = None) -> str:
        digest = content.digest_of(blob, algorithm)
        self.close(self.start(repository=repository).location(), digest, blob).expect(201)
        return digest

    def push_blobs(self, *blobs: bytes) -> None:
        for blob in blobs:
            self.push_blob(blob)

    def push(self, tag: str, document: Document | None = None) -> Document:
        """Push an image under a tag; a small one of this case if none is given."""
        document = document or content.image(self.name)
        self.put_manifest(tag, document).expect(201)
        return document

    def push_untagged(self, document: Document) -> Document:
        self.put_manifest(document.digest, document).expect(201)
        return document

    def push_tags(self, *tags: str) -> Document:
        """One image under many tags."""
        document = self.push(tags[0])
        for tag in tags[1:]:
            self.put_only(tag, document).expect(201)
        return document

    def push_hashed(self, algorithm: str, document: Document) -> str:
        """Push a manifest, and what is below it, by another algorithm: its digest."""
        for blob in document.blobs:
            self.push_blob(blob, algorithm=algorithm)
        digest = content.digest_of(document.body, algorithm)
        self.put_only(digest, document).expect(201).expect_digest(digest)
        return digest

    def bytes(self, what: str = "", size: int = 512) -> bytes:
        """Some bytes that only this case has."""
        return content.some_bytes(f"{self.name} {what}", size)

    def walk(self, path: str, key: str) -> list[list[Any]]:
        """A list in pages, following the links."""
        pages, following, asked = [], path, 0
        while following is not None:
            answer = self.ask("GET", following).expect(200)
            pages.append(answer.listed(key))
            following, asked = answer.next_page(), asked + 1
            answer.require(asked < _FEW, "the links lead on for ever")
        return pages


OCTETS = "application/octet-stream"
ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


def with_query(location: str, query: str) -> str:
    """A location with one more parameter: what it has already may be needed."""
    return f"{location}{'&' if '?' in location else '?'}{query}"
