#!/bin/bash
# cosign 2.5.0: `cosign copy` makes an index a list of referrers, so its images are listed as being about it.
#
# Guess: the copy of an index without signatures has the tag that was asked for, and no manifest refers to it.
# What happens: the index and each of its images also get the tag `sha256-DIGEST`, of their own digest. The
# distribution specification reserves this tag for the list of referrers, in a registry that keeps none itself. oras
# reads it so: the images are referrers of their index, of an unknown type. What carries referrers along tries to carry
# them, and a client that adds a signature finds an image where a list should be. cosign 3.1.1 does the same. About one
# copy in fifteen fails, because the index is sent while its images are.
source "$(dirname "$0")/common/packages.sh"
source "$common/registry.sh"

debian trixie cosign=2.5.0-2+b5 oras=1.2.0-1+b9 libc6
start_registry
python3 - "$common" <<'PY'
import sys

sys.path.insert(0, sys.argv[1])
import layout

layout.write_index("layout", {"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"})
PY
program oras cp --from-oci-layout layout:latest --to-plain-http "$registry/app:latest" >/dev/null
referrers() {
  program oras discover --plain-http "$registry/$1:latest" --format json |
    python3 -c 'import json, sys; found = json.load(sys.stdin)["manifests"]; print(*(one.get("artifactType") or one["mediaType"] for one in found))'
}
tags() { curl -s "http://$registry/v2/$1/tags/list" | python3 -c 'import json, sys; print(*sorted({tag[:7] for tag in json.load(sys.stdin)["tags"]}))'; }
expect "referrers before the copy" "" "$(referrers app)"
# The parts are sent side by side, and the registry refuses an index whose images have not arrived yet: then again.
for _ in $(seq 10); do
  program cosign copy --allow-http-registry "$registry/app:latest" "$registry/copy:latest" 2>/dev/null && break
done
expect "tags after it" "latest sha256-" "$(tags copy)"
expect "referrers after it" "application/vnd.oci.image.manifest.v1+json application/vnd.oci.image.manifest.v1+json" "$(referrers copy)"
