"""Requests to a server, one connection each, and what it answers."""

import http.client
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from polyarch.oci import digest as digests
from polyarch.oci import media_types
from polyarch.oci.digest import Digest


class Answer(NamedTuple):
    """Header names are in lower case; of several headers of one name, the values are joined with a comma."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str:
        """The code of the first error."""
        return str(self.json()["errors"][0]["code"])


class Requests:
    """Sends requests to the server at `address`."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection(self.address, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            found: dict[str, str] = {}
            for name, value in response.getheaders():
                found[name.lower()] = f"{found[name.lower()]}, {value}" if name.lower() in found else value
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def blob(self, repository: str, content: bytes, digest: str = "") -> Digest:
        """Upload a blob with POST and PUT."""
        name = digest or digests.of(content)
        begun = self("POST", f"/v2/{repository}/blobs/uploads/")
        assert begun.status == 202, begun
        done = self("PUT", f"{begun.headers['location']}?digest={name}", content)
        assert done.status == 201, done
        return Digest(name)

    def manifest(
        self, repository: str, reference: str, document: Mapping[str, Any], media_type: str = media_types.OCI_MANIFEST
    ) -> Answer:
        """Put a manifest; the reference may be empty for its digest."""
        raw = msgspec.json.encode(document)
        path = f"/v2/{repository}/manifests/{reference or digests.of(raw)}"
        return self("PUT", path, raw, {"Content-Type": media_type})

    def image(self, repository: str, tag: str = "", layer: bytes = b"layer", **fields: Any) -> Digest:
        """Push an image with one layer, and return its digest. `fields` are added to the manifest."""
        config = self.blob(repository, b'{"architecture":"amd64","os":"linux"}')
        content = self.blob(repository, layer)
        document = {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_MANIFEST,
            "config": {"mediaType": media_types.OCI_CONFIG, "digest": config, "size": 37},
            "layers": [{"mediaType": media_types.OCI_LAYER, "digest": content, "size": len(layer)}],
            **fields,
        }
        done = self.manifest(repository, tag, document)
        assert done.status == 201, done
        return Digest(done.headers["docker-content-digest"])

    def index(self, repository: str, tag: str, members: Iterable[Digest], **fields: Any) -> Answer:
        """Put an index of manifests that are there."""
        return self.index_of(repository, tag, [self.entry(repository, member) for member in members], **fields)

    def entry(self, repository: str, member: Digest) -> dict[str, Any]:
        """The entry of an index for a manifest that is there."""
        there = self("HEAD", f"/v2/{repository}/manifests/{member}")
        kind, size = there.headers["content-type"], int(there.headers["content-length"])
        return {"mediaType": kind, "digest": member, "size": size}

    def index_of(self, repository: str, tag: str, entries: Sequence[Mapping[str, Any]], **fields: Any) -> Answer:
        """Put an index with these entries."""
        document = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": entries, **fields}
        return self.manifest(repository, tag, document, media_types.OCI_INDEX)
