"""Writes an OCI image layout with one tag, `latest`: of an image of one layer, or of an index.

layout.write(directory, tar_bytes)
layout.write_index(directory, {"os": "linux", "architecture": "arm64"}, ...)
"""

import hashlib
import io
import json
import pathlib
import tarfile
from typing import Any

OCI = "application/vnd.oci.image."


def write(directory: str, tar: bytes, **config: Any) -> None:
    """An image for linux/amd64. Its one layer is this uncompressed tar; `config` is its `config`."""
    layout = Layout(directory)
    layout.tag(layout.image({"architecture": "amd64", "os": "linux"}, tar, config))


def write_index(directory: str, *platforms: dict[str, Any]) -> None:
    """An index with an image for each platform, whose one file is the platform."""
    layout = Layout(directory)
    members = []
    for platform in platforms:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            content = json.dumps(platform).encode()
            entry = tarfile.TarInfo("platform")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        members.append(layout.image(platform, stream.getvalue(), {}) | {"platform": platform})
    layout.tag(layout.index(members))


class Layout:
    """A layout that is being written: each method returns the descriptor of what it has written."""

    def __init__(self, directory: str) -> None:
        self.root = pathlib.Path(directory)
        self.blobs = self.root / "blobs/sha256"
        self.blobs.mkdir(parents=True)

    def put(self, content: bytes, kind: str) -> dict[str, Any]:
        """A blob; `kind` is its media type, after `OCI` unless it is a whole one."""
        digest = hashlib.sha256(content).hexdigest()
        (self.blobs / digest).write_bytes(content)
        return {"mediaType": kind if "/" in kind else OCI + kind, "digest": f"sha256:{digest}", "size": len(content)}

    def manifest(self, kind: str, document: dict[str, Any]) -> dict[str, Any]:
        """A manifest or an index."""
        return self.put(json.dumps({"schemaVersion": 2, "mediaType": OCI + kind} | document).encode(), kind)

    def image(self, platform: dict[str, Any], tar: bytes, config: dict[str, Any]) -> dict[str, Any]:
        """An image of one uncompressed layer."""
        layer = self.put(tar, "layer.v1.tar")
        image = {**platform, "config": config, "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
        described = self.put(json.dumps(image).encode(), "config.v1+json")
        return self.manifest("manifest.v1+json", {"config": described, "layers": [layer]})

    def index(self, members: list[dict[str, Any]]) -> dict[str, Any]:
        """An index of these."""
        return self.manifest("index.v1+json", {"manifests": members})

    def tag(self, entry: dict[str, Any]) -> None:
        """Make `entry` the only one of the layout, with the tag `latest`."""
        entry = entry | {"annotations": {"org.opencontainers.image.ref.name": "latest"}}
        (self.root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        (self.root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
