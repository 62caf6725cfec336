"""What a registry has, read over HTTP without any of our code, with every digest compared."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.serve.load.pushing import digest_of
from tests.serve.logins import credentials

# The kinds of manifest that a client of an image asks for.
ACCEPT = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)


class Where(NamedTuple):
    """A registry on loopback, and what a client needs to be let in. `login` is a name and a password."""

    address: str
    login: tuple[str, str] | None = None
    authority: Path | None = None

    @property
    def scheme(self) -> str:
        return "https" if self.authority else "http"


class Contents:
    """Reads one registry. Raises AssertionError where something is not what its digest says."""

    def __init__(self, where: Where) -> None:
        self.where = where
        self._context = ssl.create_default_context(cafile=where.authority) if where.authority else None

    def digest(self, repository: str, reference: str) -> str | None:
        """The digest of a manifest, None if there is none."""
        try:
            return digest_of(self.get(f"{repository}/manifests/{reference}"))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def tags(self) -> dict[str, str]:
        """The digest of every `repository:tag` of the catalog."""
        names = json.loads(self.get("_catalog?n=1000"))["repositories"]
        tagged = {name: json.loads(self.get(f"{name}/tags/list"))["tags"] or () for name in names}
        return {f"{name}:{tag}": self.digest(name, tag) or "" for name, tags in tagged.items() for tag in tags}

    def whole(self, repository: str, reference: str) -> dict[str, int]:
        """The size of everything that a manifest reaches, itself as well, by digest; all of it was read."""
        raw = self.get(f"{repository}/manifests/{reference}")
        found = {digest_of(raw): len(raw)}
        for child in children(json.loads(raw)):
            if "manifests" in json.loads(raw):
                found |= self.whole(repository, child["digest"])
                assert child["digest"] in found, f"{child['digest']} is another manifest"
                continue
            blob = self.get(f"{repository}/blobs/{child['digest']}")
            assert (digest_of(blob), len(blob)) == (child["digest"], child["size"]), f"{child['digest']} is damaged"
            found[child["digest"]] = len(blob)
        return found

    def get(self, path: str) -> bytes:
        """The body of the answer to a GET below /v2/."""
        headers = {"Accept": ACCEPT}
        if self.where.login:
            headers["Authorization"] = credentials(*self.where.login)
        request = urllib.request.Request(f"{self.where.scheme}://{self.where.address}/v2/{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=30, context=self._context) as answer:
            body: bytes = answer.read()
        return body


def children(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The descriptors of what a manifest or index names."""
    if "manifests" in document:
        yield from document["manifests"]
    else:
        yield document["config"]
        yield from document["layers"]
