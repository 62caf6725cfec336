#!/bin/bash
# container-inspector 33.1.0 (PyPI; ScanCode.io reads images with it): cannot read an OCI layout that follows the specification.
#
# Guess: it reads an OCI layout with one image, as skopeo writes it; its docstrings show one.
# What happens: KeyError 'mediatype'. It looks up a lower-case key in the descriptor; the specification spells it
# mediaType. It reads the same image as a docker archive.
source "$(dirname "$0")/common/packages.sh"

pypi container-inspector==33.1.0
cat >run.py <<'PY'
import gzip, hashlib, io, json, pathlib, tarfile

root = pathlib.Path("layout")
(root / "blobs/sha256").mkdir(parents=True)


def put(data: bytes, media_type: str) -> dict:
    digest = hashlib.sha256(data).hexdigest()
    (root / "blobs/sha256" / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


layer = io.BytesIO()
tarfile.open(fileobj=layer, mode="w").close()
diff_id = "sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()
kind = "application/vnd.oci.image."
config = put(json.dumps({"architecture": "arm64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}).encode(), kind + "config.v1+json")
layers = [put(gzip.compress(layer.getvalue()), kind + "layer.v1.tar+gzip")]
manifest = {"schemaVersion": 2, "mediaType": kind + "manifest.v1+json", "config": config, "layers": layers}
entry = put(json.dumps(manifest).encode(), kind + "manifest.v1+json")
(root / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": kind + "index.v1+json", "manifests": [entry]}))
(root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
from container_inspector.image import Image

try:
    print(len(Image.get_images_from_dir("layout")))
except Exception as error:
    print(type(error).__name__, error)
PY
expect "an OCI layout with one image" "KeyError 'mediatype'" "$("$work/python/bin/python" run.py)"
