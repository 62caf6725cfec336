#!/bin/bash
# BuildKit in dockerd 26.1.5: ADD --checksum of a URL that does not exist succeeds.
#
# Guess: BuildKit requests each URL, at least for its headers, and 404 ends the build.
# What happens: with a checksum, BuildKit caches the result of an ADD under the checksum and the file's name. After one
# build has downloaded /1/f, `ADD --checksum=… http://…/2/f` gives the same file, whatever the server has there, and
# without a request. So a URL with a typo works on the machine that built with the right one, and nowhere else. BuildKit
# in dockerd 28.5.2 does the same. Needs root.
source "$(dirname "$0")/common/packages.sh"
source "$common/dockerd.sh"

start_dockerd
mkdir -p "$work/www/1" "$root/tmp/context"
printf content >"$work/www/1/f"
sum=$(sha256sum <"$work/www/1/f" | cut -d ' ' -f 1)
python3 -u -m http.server --bind 127.0.0.1 --directory "$work/www" 0 >"$work/server" 2>&1 &
server=$!
trap 'kill "$server"; kill -KILL "$daemon" 2>/dev/null; wait "$daemon" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 50); do port=$(sed -nE 's/.* port ([0-9]+) .*/\1/p' "$work/server"); [[ $port ]] && break; sleep 0.1; done
build() { # build PATH: the exit status of a build that adds this path of the server
  printf '# syntax-free\nFROM scratch\nADD --checksum=sha256:%s http://127.0.0.1:%s/%s /f\n' "$sum" "$port" "$1" >"$root/tmp/context/Dockerfile"
  inside docker buildx build --quiet --provenance=false --output type=local,dest=/tmp/out /tmp/context >"$work/said" 2>&1 && echo 0 || { cat "$work/said" >&2; echo 1; }
}
expect "a path that is not there, before anything was fetched" 1 "$(build 2/f)"
expect "a path that is there" 0 "$(build 1/f)"
expect "the path that is not there, again" 0 "$(build 2/f)"
expect "requests for it that the server answered" 1 "$(grep -c '"[A-Z]* /2/f ' "$work/server" || true)"
