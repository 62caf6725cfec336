"""Readers run as their users run them, and what they print compared with what is in the layer."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from polyarch.oci import digest as digests
from polyarch.oci.descriptor import Descriptor
from tests.layers.readers.readers import Reader

_SECONDS = 120


def read(reader: Reader, path: Path, places: Mapping[str, str]) -> str:
    """What a reader finds: of a tar its SHA-256. Raises AssertionError if it fails.

    `places` are the programs that stand for the words PYTHON, BUN and DENO, and the directory READERS_PACKAGES.
    """
    command = [places.get(word, word) for word in reader.command]
    environment = {**os.environ, "READERS_PACKAGES": places.get("READERS_PACKAGES", ""), "NO_COLOR": "1"}
    with subprocess.Popen(
        [*command, str(path)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=path.parent
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        found = hashlib.sha256()
        text = b""
        while chunk := process.stdout.read(1 << 20):
            if reader.output == "tar":
                found.update(chunk)
            else:
                text += chunk
        said = process.stderr.read().decode(errors="replace")
        status = process.wait(_SECONDS)
    assert status == 0, f"{reader.name} failed: {said[-500:]}"
    return found.hexdigest() if reader.output == "tar" else text.decode().strip()


def by_skopeo(layer: Descriptor, blob: Path, diff_id: str, scratch: Path) -> str:
    """The SHA-256 of the tar that skopeo (Go) makes of a layer."""
    _layout(layer, blob, diff_id, scratch / "image")
    command = ["skopeo", "copy", "--quiet", "--insecure-policy", "--dest-decompress"]
    subprocess.run([*command, f"oci:{scratch}/image:x", f"dir:{scratch}/plain"], check=True, capture_output=True)
    document = json.loads((scratch / "plain/manifest.json").read_text())
    return hashlib.sha256((scratch / "plain" / document["layers"][0]["digest"][7:]).read_bytes()).hexdigest()


def by_umoci(layer: Descriptor, blob: Path, diff_id: str, scratch: Path) -> int:
    """How many entries umoci (Go) unpacks of a layer; it verifies the diff id itself."""
    _layout(layer, blob, diff_id, scratch / "image")
    command = ["umoci", "raw", "unpack", "--rootless", "--image", f"{scratch}/image:x", f"{scratch}/tree"]
    subprocess.run(command, check=True, capture_output=True)
    found = sum(len(directories) + len(files) for _, directories, files in os.walk(scratch / "tree"))
    shutil.rmtree(scratch / "tree")
    return found


def _layout(layer: Descriptor, blob: Path, diff_id: str, directory: Path) -> None:
    """An OCI image layout with one image of one layer, under the name x."""
    blobs = directory / "blobs/sha256"
    blobs.mkdir(parents=True)
    os.link(blob, blobs / layer.digest[7:])

    def write(content: dict[str, object], media_type: str) -> dict[str, object]:
        raw = json.dumps(content).encode()
        (blobs / digests.of(raw)[7:]).write_bytes(raw)
        return {"mediaType": media_type, "digest": digests.of(raw), "size": len(raw)}

    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": write(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [{"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size}],
    }
    named = write(manifest, "application/vnd.oci.image.manifest.v1+json")
    named["annotations"] = {"org.opencontainers.image.ref.name": "x"}
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
