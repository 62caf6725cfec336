"""What the clients push: an index of two platforms in a directory, as an OCI layout."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.serve.contents import children
from tests.serve.load.pushing import digest_of


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
        return {manifest, *(child["digest"] for child in children(json.loads(self.blob(manifest))))}

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
        if (name := f"{path.parent.name}:{path.name}") == digest_of(path.read_bytes())
    }
