#!/bin/bash
# cosign 3.1.1: lists its signatures under the type of an empty config, so nobody finds them by their own type.
#
# Guess: where a registry keeps no list of referrers, cosign's list has what the manifest of the signature says:
# artifactType application/vnd.dev.sigstore.bundle.v0.3+json.
# What happens: the entry's artifactType is application/vnd.oci.empty.v1+json, the type of the config, although the
# specification takes that only if the manifest has no type. `oras discover --artifact-type` finds no signature. The
# library is go-containerregistry's, and `crane index append` writes the same into an index. A reader has to take empty
# configs for possible signatures.
source "$(dirname "$0")/common/packages.sh"
source "$common/registry.sh"
source "$common/cosign.sh"

sign_image
BUNDLE=application/vnd.dev.sigstore.bundle.v0.3+json
discover() {
  program oras discover --plain-http --format json "$@" "$registry/app:latest" |
    python3 -c 'import json, sys; print(*(one["artifactType"] + " " + one["digest"] for one in json.load(sys.stdin)["manifests"]))'
}
listed=$(discover)
expect "the list" "application/vnd.oci.empty.v1+json" "${listed% *}"
expect "the manifest in it" "$BUNDLE" \
  "$(program oras manifest fetch --plain-http "$registry/app@${listed#* }" | python3 -c 'import json, sys; print(json.load(sys.stdin)["artifactType"])')"
expect "oras discover --artifact-type $BUNDLE" "" "$(discover --artifact-type "$BUNDLE")"
