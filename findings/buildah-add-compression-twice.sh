#!/bin/bash
# buildah 1.39.3: `manifest push --add-compression zstd` lists each attestation and artifact of an index twice.
#
# Guess: each image is there in gzip and in zstd, and what has no compressed layers once, as it was.
# What happens: the entry of the attestation is repeated, with the same digest, and so is that of an artifact. It is about
# the gzip image, so the zstd one, which skopeo and podman prefer, has no attestation. Who counts attestations, or takes
# two entries with one digest for an error, is affected.
source "$(dirname "$0")/common/packages.sh"

debian trixie buildah=1.39.3+ds1-1+b7 libc6 libgpgme11t64 libassuan9 libgpg-error0 libdevmapper1.02.1 libsubid5 libseccomp2 libsqlite3-0 \
  libselinux1 libpcre2-8-0 libudev1 libcap2 libaudit1 libcap-ng0 libacl1 libattr1
python3 - "$common" <<'PY'
import json
import sys

sys.path.insert(0, sys.argv[1])
import layout

platform = {"os": "linux", "architecture": "amd64"}
made = layout.Layout("layout")
image = made.image(platform, bytes(10240), {})
statement = made.put(b'{"_type": "https://in-toto.io/Statement/v0.1", "subject": [], "predicate": {}}', "application/vnd.in-toto+json")
config = {"architecture": "unknown", "os": "unknown", "config": {}, "rootfs": {"type": "layers", "diff_ids": [statement["digest"]]}}
described = made.put(json.dumps(config).encode(), "config.v1+json")
attestation = made.manifest("manifest.v1+json", {"config": described, "layers": [statement]})
notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"]}
unknown = {"architecture": "unknown", "os": "unknown"}
made.tag(made.index([image | {"platform": platform}, attestation | {"platform": unknown, "annotations": notes}]))
PY
mkdir -p home/.config/containers
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >home/.config/containers/policy.json
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' "$work/graph" "$work/run" >storage.conf
export HOME=$work/home CONTAINERS_STORAGE_CONF=$work/storage.conf
program buildah manifest create --all list oci:layout:latest >/dev/null
push() {
  program buildah manifest push -q --all "${@:2}" list "oci:$1:latest" >/dev/null
  python3 - "$1" <<'PY'
import json, pathlib, sys

root = pathlib.Path(sys.argv[1])
(top,) = json.loads((root / "index.json").read_text())["manifests"]
for entry in json.loads((root / "blobs/sha256" / top["digest"][7:]).read_text())["manifests"]:
    notes = entry.get("annotations", {})
    print(notes.get("vnd.docker.reference.type") or "zstd" * ("io.github.containers.compression.zstd" in notes) or "gzip", end=";")
PY
}
expect "pushed" "gzip;attestation-manifest;" "$(push once)"
expect "pushed with --add-compression zstd" "gzip;attestation-manifest;attestation-manifest;zstd;" "$(push twice --add-compression zstd)"
