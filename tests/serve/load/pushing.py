"""Images as bytes, and a client that pushes them over plain HTTP without any of our code."""

import hashlib
import http.client
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
_SECONDS = 30.0


class Document(NamedTuple):
    """A manifest or index as it is pushed, and what must be there before: blobs, and manifests of an index."""

    media_type: str
    raw: bytes
    blobs: tuple[bytes, ...] = ()
    members: tuple["Document", ...] = ()

    @property
    def digest(self) -> str:
        return digest_of(self.raw)

    def descriptor(self, **more: Any) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.raw), **more}


class RefusedError(Exception):
    """The registry answered with another status than the expected one. `body` is what it said."""

    def __init__(self, what: str, status: int, body: bytes) -> None:
        super().__init__(f"{what}: status {status}: {body[:300]!r}")
        self.status = status
        self.body = body


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def image(
    name: str, *, layers: int = 2, size: int = 100_000, shared: Sequence[bytes] = (), subject: Document | None = None
) -> Document:
    """An image of random layers that follow from its name, and of `shared` ones."""
    chance = random.Random(name)
    contents = (*shared, *(chance.randbytes(size) for _ in range(layers)))
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}, "name": name}).encode()
    described = {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)}
    listed = [{"mediaType": LAYER, "digest": digest_of(layer), "size": len(layer)} for layer in contents]
    fields = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": listed}
    if subject is not None:
        fields["subject"] = subject.descriptor()
    return Document(MANIFEST, json.dumps(fields).encode(), (config, *contents))


def index(*members: Document) -> Document:
    """An index of images, each for a platform of its own."""
    listed = [
        member.descriptor(platform={"os": "linux", "architecture": architecture})
        for member, architecture in zip(members, ("amd64", "arm64", "s390x", "riscv64"), strict=False)
    ]
    raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode()
    return Document(INDEX, raw, members=members)


class Pusher:
    """A client with one connection, which it opens when it is first needed. Its owner closes it.

    Raises RefusedError, OSError and http.client.HTTPException as they come.
    """

    def __init__(self, address: str, seconds: float = _SECONDS) -> None:
        self._http = http.client.HTTPConnection(address, timeout=seconds)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> "Pusher":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def push(self, repository: str, reference: str, document: Document) -> None:
        """Send a manifest and all that it needs."""
        for member in document.members:
            self.push(repository, member.digest, member)
        for number, blob in enumerate(document.blobs):
            self.blob(repository, blob, chunks=1 + 2 * (number % 2))
        self.manifest(repository, reference, document)

    def blob(self, repository: str, content: bytes, *, chunks: int = 1) -> None:
        """Send a blob in so many requests, unless it is there."""
        digest = digest_of(content)
        status, _, _ = self.ask("HEAD", f"{repository}/blobs/{digest}")
        if status == 200:
            return
        place = self.begin(repository)
        step = -(-len(content) // chunks)
        for start in range(0, len(content), step):
            part = content[start : start + step]
            headers = {"Content-Range": f"{start}-{start + len(part) - 1}", "Content-Type": "application/octet-stream"}
            place = self._place(self.expect(202, "PATCH", place, part, headers))
        self.expect(201, "PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", b"")

    def begin(self, repository: str) -> str:
        """Begin an upload. Returns its path."""
        return self._place(self.expect(202, "POST", f"/v2/{repository}/blobs/uploads/", b""))

    def manifest(self, repository: str, reference: str, document: Document) -> None:
        path = f"/v2/{repository}/manifests/{reference}"
        self.expect(201, "PUT", path, document.raw, {"Content-Type": document.media_type})

    def delete(self, repository: str, reference: str) -> None:
        self.expect(202, "DELETE", f"/v2/{repository}/manifests/{reference}")

    def expect(
        self, status: int, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Mapping[str, str]:
        """The headers of the answer, by names in lower case. Raises RefusedError for another status."""
        found, fields, said = self.ask(method, path, body, headers)
        if found != status:
            raise RefusedError(f"{method} {path}", found, said)
        return fields

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the answer. `path` may be relative to /v2/."""
        whole = path if path.startswith("/") else f"/v2/{path}"
        try:
            self._http.request(method, whole, body, dict(headers or {}))
            answer = self._http.getresponse()
            said = answer.read()
        except BaseException:
            self._http.close()
            raise
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, said

    @staticmethod
    def _place(fields: Mapping[str, str]) -> str:
        location = fields["location"]
        return "/" + location.split("/", 3)[3] if "://" in location else location


def blobs_of(document: Document) -> Iterator[bytes]:
    """All blobs that a document reaches."""
    yield from document.blobs
    for member in document.members:
        yield from blobs_of(member)
