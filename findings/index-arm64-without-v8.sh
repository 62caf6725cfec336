#!/bin/bash
# python-dxf 12.1.1 (PyPI) and @snyk/docker-registry-v2-client 4.0.5 (npm): linux/arm64 does not find linux/arm64/v8.
#
# Guess: asked for linux/arm64, they take the entry linux/arm64/v8 of an index, as crane and oras do: v8 says nothing that
# arm64 does not.
# What happens: "Data not found for platform", "no supported manifest found for platform". The variants are compared as
# text. The same code works with an index of buildx, which leaves the variant out, and fails with docker's official
# images, which have it. A client of all images has to ask for both.
source "$(dirname "$0")/common/packages.sh"
source "$common/registry.sh"

start_registry
debian trixie oras=1.2.0-1+b9 libc6
pypi python-dxf==12.1.1
npm_packages @snyk/docker-registry-v2-client@4.0.5
python3 - "$common" <<'PY'
import sys

sys.path.insert(0, sys.argv[1])
import layout

layout.write_index("plain", {"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"})
layout.write_index("v8", {"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64", "variant": "v8"})
PY
for name in plain v8; do program oras cp --from-oci-layout "$name:latest" --to-plain-http "$registry/app:$name" >/dev/null; done
cat >ask.py <<'PY'
import sys

import dxf

base = dxf.DXF(sys.argv[1], "app", insecure=True)
for name in ("plain", "v8"):
    try:
        base.get_manifest(name, platform="linux/arm64")
        print("found")
    except dxf.exceptions.DXFError as error:
        print(error)
PY
cat >ask.mjs <<'JS'
import client from "@snyk/docker-registry-v2-client"
const types = Object.values(client.contentTypes).filter((type) => /manifest|index/.test(type)).join(", ")
for (const name of ["plain", "v8"]) {
  try {
    const platform = { os: "linux", architecture: "arm64" }
    await client.getManifest(process.argv[2], "app", name, undefined, undefined, { protocol: "http", acceptManifest: types }, platform)
    console.log("found")
  } catch (error) {
    console.log(error.message.split(":")[0])
  }
}
JS
expect "python-dxf, arm64 and arm64/v8" "found;Data not found for platform: linux/arm64;" "$("$work/python/bin/python" ask.py "$registry" | tr '\n' ';')"
expect "@snyk/docker-registry-v2-client" "found;no supported manifest found for platform;" "$(node ask.mjs "$registry" | tr '\n' ';')"
for wanted in arm64 arm64/v8; do
  expect "oras, asked for $wanted" "arm64/v8" \
    "$(program oras manifest fetch --plain-http --descriptor --platform "linux/$wanted" "$registry/app:v8" |
      python3 -c 'import json, sys; found = json.load(sys.stdin)["platform"]; print(found["architecture"] + "/" + found["variant"])')"
done
