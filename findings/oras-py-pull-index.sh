#!/bin/bash
# oras 0.2.43 (PyPI): a pull of a multi-platform image succeeds, and fetches nothing.
#
# Guess: an error that asks for a platform, or the image of this machine, as oras of Go fetches with --platform.
# What happens: the result is an empty list, and there is no warning. An index has no `layers`, and what is absent counts
# as none. The same call fetches the layer of each image of that index by its digest. A script that loads what it has
# pulled goes on with an empty directory as soon as a publisher adds a second platform.
source "$(dirname "$0")/common/packages.sh"
source "$common/registry.sh"

start_registry
debian trixie oras=1.2.0-1+b9 libc6
pypi oras==0.2.43
python3 - "$common" <<'PY'
import sys

sys.path.insert(0, sys.argv[1])
import layout

layout.write_index("layout", {"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"})
PY
program oras cp --from-oci-layout layout:latest --to-plain-http "$registry/app:latest" >/dev/null
cat >pull.py <<'PY'
import sys

import oras.client

registry = sys.argv[1]
client = oras.client.OrasClient(hostname=registry, insecure=True)
print("the index:", len(client.pull(f"{registry}/app:latest", outdir="index")), "files")
for entry in client.get_manifest(f"{registry}/app:latest")["manifests"]:
    print(entry["platform"]["architecture"] + ":", len(client.pull(f"{registry}/app@{entry['digest']}", outdir="image")), "files")
PY
expect "pulled" "the index: 0 files;amd64: 1 files;arm64: 1 files;" "$("$work/python/bin/python" pull.py "$registry" | tr '\n' ';')"
