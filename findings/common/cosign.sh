# Source this after registry.sh: an image that cosign 3.1.1 of Debian sid has signed with a key, in the registry.
#
#   sign_image          starts the registry; then $registry/app:latest is signed by the key of cosign.pub
#
# oras is there, too. No service of Sigstore is asked.

sign_image() {
  start_registry
  debian trixie oras=1.2.0-1+b9 libc6
  debian sid cosign=3.1.1-2
  python3 - "$common" <<'PY'
import sys

sys.path.insert(0, sys.argv[1])
import layout

layout.write("layout", bytes(10240))  # an empty tar
PY
  program oras cp --from-oci-layout layout:latest --to-plain-http "$registry/app:latest" >/dev/null
  echo '{"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json", "rekorTlogConfig": {"selector": "ANY"}, "tsaConfig": {"selector": "ANY"}}' \
    >config.json
  export COSIGN_PASSWORD=
  program cosign generate-key-pair 2>/dev/null
  program cosign sign --yes --allow-http-registry --signing-config config.json --key cosign.key "$registry/app:latest" 2>/dev/null
}
