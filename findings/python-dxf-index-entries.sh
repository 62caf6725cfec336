#!/bin/bash
# python-dxf 12.1.1 (PyPI): one entry without a platform makes a whole index unreadable, and Windows versions hide another.
#
# Guess: an index is read by its platforms; entries of one platform are all there, and one without is left out, because
# the specification makes `platform` optional.
# What happens: for an index that also lists an artifact, KeyError 'platform', even if an image was asked for that is
# there. The result for a whole index is a dictionary by os/architecture/variant, so of images for two versions of
# Windows only the last is in it. Whoever mirrors images by this dictionary loses the others.
source "$(dirname "$0")/common/packages.sh"
source "$common/registry.sh"

start_registry
debian trixie oras=1.2.0-1+b9 libc6
pypi python-dxf==12.1.1
python3 - "$common" <<'PY'
import sys

sys.path.insert(0, sys.argv[1])
import layout

OLD, NEW = ({"os": "windows", "architecture": "amd64", "os.version": f"10.0.{build}.1"} for build in (17763, 20348))
layout.write_index("windows", {"os": "linux", "architecture": "amd64"}, OLD, NEW)
made = layout.Layout("artifact")
empty = made.put(b"{}", "application/vnd.oci.empty.v1+json")
artifact = made.manifest("manifest.v1+json", {"artifactType": "application/vnd.example", "config": empty, "layers": [empty]})
platform = {"os": "linux", "architecture": "amd64"}
made.tag(made.index([artifact, made.image(platform, bytes(10240), {}) | {"platform": platform}]))
PY
for name in windows artifact; do program oras cp --from-oci-layout "$name:latest" --to-plain-http "$registry/app:$name" >/dev/null; done
cat >ask.py <<'PY'
import sys

import dxf

base = dxf.DXF(sys.argv[1], "app", insecure=True)
print(*base.get_manifest("windows"))
try:
    base.get_manifest("artifact", platform="linux/amd64")
    print("found")
except Exception as error:
    print(type(error).__name__, error)
PY
"$work/python/bin/python" ask.py "$registry" >seen.txt
expect "an index for Linux and two versions of Windows" "linux/amd64 windows/amd64" "$(sed -n 1p seen.txt)"
expect "linux/amd64 of an index that lists an artifact" "KeyError 'platform'" "$(sed -n 2p seen.txt)"
