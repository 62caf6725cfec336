"""What a registry has, read over HTTP without any of our code, with every digest compared."""

import base64
import hashlib
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

_ACCEPT = ", ".join(
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
            return _digest(self.get(f"{repository}/manifests/{reference}"))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def whole(self, repository: str, reference: str) -> dict[str, int]:
        """The size of everything that a manifest reaches, itself as well, by digest; all of it was read."""
        raw = self.get(f"{repository}/manifests/{reference}")
        found = {_digest(raw): len(raw)}
        for child in _children(json.loads(raw)):
            if "manifests" in json.loads(raw):
                found |= self.whole(repository, child["digest"])
                assert child["digest"] in found, f"{child['digest']} is another manifest"
                continue
            blob = self.get(f"{repository}/blobs/{child['digest']}")
            assert (_digest(blob), len(blob)) == (child["digest"], child["size"]), f"{child['digest']} is damaged"
            found[child["digest"]] = len(blob)
        return found

    def get(self, path: str) -> bytes:
        """The body of the answer to a GET below /v2/."""
        headers = {"Accept": _ACCEPT}
        if self.where.login:
            headers["Authorization"] = f"Basic {base64.b64encode(':'.join(self.where.login).encode()).decode()}"
        request = urllib.request.Request(f"{self.where.scheme}://{self.where.address}/v2/{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=30, context=self._context) as answer:
            body: bytes = answer.read()
        return body


class Layout(NamedTuple):
    """An OCI layout in a directory with one index, its name in the layout, and the same as an archive."""

    directory: Path
    name: str
    archive: Path

    @property
    def index(self) -> str:
        """The digest of the index."""
        (entry,) = json.loads((self.directory / "index.json").read_text())["manifests"]
        return str(entry["digest"])

    def members(self) -> Mapping[str, str]:
        """The digest of the manifest of each platform: `linux/amd64`."""
        return {f"{one['platform']['os']}/{one['platform']['architecture']}": one["digest"] for one in self._entries()}

    def configs(self) -> Mapping[str, str]:
        """The digest of the config of each platform."""
        return {name: json.loads(self.blob(digest))["config"]["digest"] for name, digest in self.members().items()}

    def digests(self) -> set[str]:
        """Everything that the index reaches, itself as well."""
        return {self.index}.union(*(self.reached(member["digest"]) for member in self._entries()))

    def layers(self) -> set[str]:
        """The layers of all platforms."""
        return {
            layer["digest"] for member in self._entries() for layer in json.loads(self.blob(member["digest"]))["layers"]
        }

    def reached(self, manifest: str) -> set[str]:
        """What a manifest of the index reaches, itself as well; nothing for another manifest."""
        if manifest not in {member["digest"] for member in self._entries()}:
            return set()
        return {manifest, *(child["digest"] for child in _children(json.loads(self.blob(manifest))))}

    def blob(self, digest: str) -> bytes:
        return blob_path(self.directory, digest).read_bytes()

    def _entries(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = json.loads(self.blob(self.index))["manifests"]
        return entries


def blob_path(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")


def blobs_of(layout: Path) -> set[str]:
    """The digests of all blobs of a layout that are what their names say."""
    return {
        name
        for path in layout.glob("blobs/*/*")
        if (name := f"{path.parent.name}:{path.name}") == _digest(path.read_bytes())
    }


def _children(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if "manifests" in document:
        yield from document["manifests"]
    else:
        yield document["config"]
        yield from document["layers"]


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
