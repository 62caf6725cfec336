#!/bin/bash
# packageurl-python 0.17.6 and packageurl-js 2.0.1: write the package URL of one image differently, and each calls it canonical.
#
# Guess: both write pkg:oci/app@sha256:…?arch=arm64&repository_url=ghcr.io/acme/app in one way, because a purl is meant to be
# compared as text.
# What happens: Python keeps the "/" of a qualifier, JavaScript writes %2F. And pkg:oci/acme/app, which has a namespace,
# is refused in JavaScript and accepted in Python. Bills of materials by tools of the two languages name no image alike
# until both are parsed.
source "$(dirname "$0")/common/packages.sh"

pypi packageurl-python==0.17.6
npm_packages packageurl-js@2.0.1
cat >python.py <<'PY'
import sys

import packageurl

try:
    print(packageurl.PackageURL.from_string(sys.argv[1]).to_string())
except ValueError as error:
    print("error:", error)
PY
cat >javascript.mjs <<'JS'
import { PackageURL } from "packageurl-js"
try {
  console.log(PackageURL.fromString(process.argv[2]).toString())
} catch (error) {
  console.log("error:", error.message)
}
JS
image=pkg:oci/app@sha256%3A244fd47e07d1
for slash in / %2F; do
  for url in "$image?arch=arm64&repository_url=ghcr.io${slash}acme${slash}app"; do
    expect "Python, from $slash" "pkg:oci/app@sha256:244fd47e07d1?arch=arm64&repository_url=ghcr.io/acme/app" \
      "$("$work/python/bin/python" python.py "$url")"
    expect "JavaScript, from $slash" "pkg:oci/app@sha256:244fd47e07d1?arch=arm64&repository_url=ghcr.io%2Facme%2Fapp" \
      "$(node javascript.mjs "$url")"
  done
done
expect "Python, with a namespace" "pkg:oci/acme/app@1" "$("$work/python/bin/python" python.py pkg:oci/acme/app@1)"
expect "JavaScript, with a namespace" 'error: Invalid purl: oci "namespace" component must be empty' \
  "$(node javascript.mjs pkg:oci/acme/app@1)"
