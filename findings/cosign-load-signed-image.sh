#!/bin/bash
# cosign 3.1.1: `cosign load` cannot load the signed image that `cosign save` has just saved.
#
# Guess: the image arrives with its signature. `cosign copy` of this version is deprecated, leaves out the signatures
# that `cosign sign` of this version makes, and recommends save and load instead.
# What happens: MANIFEST_BLOB_UNKNOWN, exit status 1. The directory has everything, but load sends the manifest of the
# signature before its blob, and docker-registry refuses a manifest whose blobs it does not have. The tag is there
# already, so the image stays behind without a signature. `cosign copy` succeeds, also without one.
source "$(dirname "$0")/common/packages.sh"
source "$common/registry.sh"
source "$common/cosign.sh"

sign_image
verify() {
  program cosign verify --allow-http-registry --insecure-ignore-tlog --key cosign.pub "$registry/$1:latest" 2>&1 >/dev/null |
    grep -o -m1 -e 'The cosign claims were validated' -e 'no signatures found' | head -1
}
expect "where it was signed" "The cosign claims were validated" "$(verify app)"
program cosign save --allow-http-registry --dir saved "$registry/app:latest" >/dev/null 2>&1
status=0
program cosign load --allow-http-registry --dir saved "$registry/loaded:latest" >/dev/null 2>error.txt || status=$?
expect "load" "1 MANIFEST_BLOB_UNKNOWN" "$status $(grep -om1 MANIFEST_BLOB_UNKNOWN error.txt | head -1)"
expect "what was loaded" "no signatures found" "$(verify loaded)"
program cosign copy --allow-http-registry "$registry/app:latest" "$registry/copied:latest" 2>/dev/null
expect "what was copied" "no signatures found" "$(verify copied)"
