"""What is in a registry under a tag, read over HTTP without any of our code, to compare it with what was asked for."""

import base64
import io
import json
import tarfile
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.serve.contents import ACCEPT

_OF_ATTESTATION = "vnd.docker.reference.type"


class PlatformImage(NamedTuple):
    """The image of a platform: its labels, its whole config, its manifest's annotations, its text files by path."""

    labels: Mapping[str, str]
    config: Mapping[str, Any]
    annotations: Mapping[str, str]
    files: Mapping[str, str]


class Pushed(NamedTuple):
    """An index or image in a registry. `attested` counts the manifests with attestations."""

    digest: str
    annotations: Mapping[str, str]
    platforms: Mapping[str, PlatformImage]
    attested: int


class Repository:
    """A repository of a registry on loopback. `login` is NAME:PASSWORD."""

    def __init__(self, address: str, name: str, login: str = "") -> None:
        self.name = f"{address}/{name}"
        self._url = f"http://{address}/v2/{name}"
        self._headers = {"Accept": ACCEPT}
        if login:
            self._headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"

    def tags(self) -> list[str]:
        """All tags, in order; none if nothing was pushed."""
        try:
            return sorted(json.loads(self._get("tags/list")[0])["tags"] or ())
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return []
            raise

    def read(self, tag: str) -> Pushed:
        """What is under this tag."""
        body, digest = self._get(f"manifests/{tag}")
        top = json.loads(body)
        if "manifests" not in top:
            image = self._image(top)
            return Pushed(digest, {}, {_platform(image.config): image}, 0)
        members = [one for one in top["manifests"] if _OF_ATTESTATION not in one.get("annotations", {})]
        images = {
            _platform(one["platform"]): self._image(json.loads(self._get(f"manifests/{one['digest']}")[0]))
            for one in members
        }
        return Pushed(digest, top.get("annotations", {}), images, len(top["manifests"]) - len(members))

    def _image(self, manifest: Mapping[str, Any]) -> PlatformImage:
        config = json.loads(self._get(f"blobs/{manifest['config']['digest']}")[0])
        files: dict[str, str] = {}
        for layer in manifest["layers"]:
            blob, _ = self._get(f"blobs/{layer['digest']}")
            with tarfile.open(fileobj=io.BytesIO(blob)) as tar:
                for member in tar:
                    content = tar.extractfile(member) if member.isfile() and member.size < 100_000 else None
                    if content is not None:
                        files[member.name] = content.read().decode(errors="replace")
        labels = config["config"].get("Labels") or {}
        return PlatformImage(labels, config, manifest.get("annotations", {}), files)

    def _get(self, path: str) -> tuple[bytes, str]:
        request = urllib.request.Request(f"{self._url}/{path}", headers=self._headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read(), answer.headers.get("Docker-Content-Digest", "")


def _platform(parts: Mapping[str, str]) -> str:
    return "/".join(filter(None, (parts["os"], parts["architecture"], parts.get("variant"))))
