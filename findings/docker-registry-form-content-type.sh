#!/bin/bash
# docker-registry 2.8.2: refuses a blob that `curl --data-binary` uploads, with "digest did not match uploaded content".
#
# Guess: the Content-Type of a blob's PUT does not matter. The specification says application/octet-stream, and the
# registry does not store it.
# What happens: curl, Python's urllib and others send application/x-www-form-urlencoded for a body unless told otherwise.
# The registry reads the digest with a function that parses such a body as a form, so the body is gone before the blob
# is written, and the digest is compared with that of no bytes. With any other Content-Type the same PUT is accepted.
source "$(dirname "$0")/common/packages.sh"

debian bookworm docker-registry=2.8.2+ds1-1
printf 'hello\n' >blob
digest=sha256:$(sha256sum blob | cut -d' ' -f1)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >config.yml <<YAML
version: 0.1
log:
  level: error
storage:
  filesystem:
    rootdirectory: $work/storage
http:
  addr: 127.0.0.1:$port
YAML
"$work/debian/usr/bin/docker-registry" serve config.yml >log.txt 2>&1 &
registry=$!
trap 'kill "$registry"; wait "$registry" 2>/dev/null || true; rm -rf "$work"' EXIT
curl=(curl --silent --noproxy '*')
"${curl[@]}" --retry 50 --retry-delay 1 --retry-connrefused "http://127.0.0.1:$port/v2/" >/dev/null
put() { # CURL-OPTION…: the status, and the code of the error
  local location
  location=$("${curl[@]}" -i -X POST -H 'Content-Length: 0' "http://127.0.0.1:$port/v2/image/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //p')
  "${curl[@]}" -o body.txt -w '%{http_code} ' -X PUT --data-binary @blob "$@" "$location&digest=$digest"
  grep -o '"code":"[A-Z_]*"' body.txt || true
}
expect "curl's Content-Type" '400 "code":"DIGEST_INVALID"' "$(put)"
expect "application/octet-stream" "201 " "$(put -H 'Content-Type: application/octet-stream')"
expect "no Content-Type" "201 " "$(put -H 'Content-Type:')"
