#!/bin/bash
# skopeo 1.9.3: refuses to write an image with a zstd layer as a docker archive, although the archive is not compressed.
#
# Guess: the layer is unpacked, as a gzip layer is, because a docker archive holds plain tars.
# What happens: "zstd compression is not supported for docker images", exit status 1. The media type is converted before
# anybody looks at what the archive stores, and docker's schema 2 has none for zstd. podman 4.3.1 has the same library
# and fails in `podman save`, after it has run the image. A copy to a directory and back with --dest-decompress helps.
source "$(dirname "$0")/common/packages.sh"

debian bookworm skopeo=1.9.3+ds1-1+b10 libgpgme11=1.18.0-3+b1 libassuan0 libdevmapper1.02.1 zstd=1.5.4+dfsg2-5
cat >layout.py <<'PY'
import hashlib
import io
import json
import pathlib
import subprocess
import sys
import tarfile

OCI = "application/vnd.oci.image."
blobs = pathlib.Path("layout/blobs/sha256")
blobs.mkdir(parents=True)


def put(content: bytes, kind: str) -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    (blobs / digest).write_bytes(content)
    return {"mediaType": OCI + kind, "digest": f"sha256:{digest}", "size": len(content)}


stream = io.BytesIO()
with tarfile.open(fileobj=stream, mode="w") as tar:
    tar.addfile(tarfile.TarInfo("file"), io.BytesIO())
tar_bytes = stream.getvalue()
layer = put(subprocess.run([sys.argv[1], "-qc"], input=tar_bytes, capture_output=True, check=True).stdout, "layer.v1.tar+zstd")
diff_ids = ["sha256:" + hashlib.sha256(tar_bytes).hexdigest()]
config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
manifest = {"schemaVersion": 2, "config": put(json.dumps(config).encode(), "config.v1+json"), "layers": [layer]}
entry = put(json.dumps(manifest | {"mediaType": OCI + "manifest.v1+json"}).encode(), "manifest.v1+json")
entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
pathlib.Path("layout/index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
pathlib.Path("layout/oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
PY
python3 layout.py "$work/debian/usr/bin/zstd"
copy() {
  local status=0
  program skopeo --insecure-policy copy -q "oci:layout:latest" "$@" 2>error.txt >/dev/null || status=$?
  echo "$status $(grep -o 'zstd compression is not supported for docker images' error.txt)"
}
expect "to a docker archive" "1 zstd compression is not supported for docker images" "$(copy docker-archive:image.tar:x:1)"
expect "to a directory" "0 " "$(copy dir:copied)"
expect "to a directory, decompressed, and then to a docker archive" "0 0" \
  "$(copy dir:plain --dest-decompress | cut -c1) $(program skopeo --insecure-policy copy -q dir:plain docker-archive:second.tar:x:1 >/dev/null 2>&1; echo $?)"
