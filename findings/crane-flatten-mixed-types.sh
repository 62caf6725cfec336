#!/bin/bash
# crane 0.20.7: `crane flatten` of an OCI index writes docker manifests that the index calls OCI manifests.
#
# Guess: an OCI index stays one in all its parts, with one layer in each image.
# What happens: the index is OCI's, and so are the types in its entries. The manifests are docker's schema 2, and say so
# in their own `mediaType`. A registry serves them as what they are, and oras refuses to read an image of the index,
# because the answer is not of the type that the index announced. crane and skopeo do not compare the two.
source "$(dirname "$0")/common/packages.sh"
source "$common/registry.sh"

start_registry
debian trixie oras=1.2.0-1+b9 skopeo=1.18.0+ds1-1+b5 libgpgme11t64 libassuan9 libgpg-error0 libdevmapper1.02.1 libsubid5 libsqlite3-0 \
  libselinux1 libpcre2-8-0 libudev1 libcap2 libaudit1 libcap-ng0 libacl1 libattr1
debian sid crane=0.20.7+ds1-5
python3 - "$common" <<'PY'
import sys

sys.path.insert(0, sys.argv[1])
import layout

layout.write_index("layout", {"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"})
PY
program oras cp --from-oci-layout layout:latest --to-plain-http "$registry/app:latest" >/dev/null
program crane --insecure flatten "$registry/app:latest" -t "$registry/app:flat" >/dev/null 2>&1
read_type='import json, sys; document = json.load(sys.stdin); print(*(one["mediaType"] for one in (document, *document.get("manifests", ()))))'
expect "the index and its entries" \
  "application/vnd.oci.image.index.v1+json application/vnd.oci.image.manifest.v1+json application/vnd.oci.image.manifest.v1+json" \
  "$(program crane --insecure manifest "$registry/app:flat" | python3 -c "$read_type")"
expect "an image of it" "application/vnd.docker.distribution.manifest.v2+json" \
  "$(program crane --insecure manifest --platform linux/arm64 "$registry/app:flat" | python3 -c "$read_type")"
fetch() {
  program oras manifest fetch --plain-http --platform linux/arm64 "$registry/app:$1" 2>&1 |
    grep -o -e '"schemaVersion": 2' -e 'mismatch response Content-Type' | head -1
}
expect "oras reads the image for arm64, before" '"schemaVersion": 2' "$(fetch latest)"
expect "after" "mismatch response Content-Type" "$(fetch flat)"
expect "skopeo" "0" "$(program skopeo --insecure-policy copy -q --all --src-tls-verify=false "docker://$registry/app:flat" dir:copied >&2; echo $?)"
