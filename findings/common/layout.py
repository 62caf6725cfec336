"""Writes an OCI image layout with one layer: `layout.write(directory, tar_bytes)`."""

import hashlib
import json
import pathlib
from typing import Any

OCI = "application/vnd.oci.image."


def write(directory: str, tar: bytes, **config: Any) -> None:
    """An image for linux/amd64, tagged `latest`. Its one layer is this uncompressed tar; `config` is its `config`."""
    root = pathlib.Path(directory)
    blobs = root / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(content: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": OCI + kind, "digest": f"sha256:{digest}", "size": len(content)}

    layer = put(tar, "layer.v1.tar")
    rootfs = {"type": "layers", "diff_ids": [layer["digest"]]}
    image = {"architecture": "amd64", "os": "linux", "config": config, "rootfs": rootfs}
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI + "manifest.v1+json",
        "config": put(json.dumps(image).encode(), "config.v1+json"),
        "layers": [layer],
    }
    entry = put(json.dumps(manifest).encode(), "manifest.v1+json")
    entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
