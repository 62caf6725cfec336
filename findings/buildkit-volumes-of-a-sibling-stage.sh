#!/bin/bash
# BuildKit in dockerd 20.10.24: VOLUME, LABEL and EXPOSE of a stage get into a sibling stage that is not based on it.
#
# Guess: `FROM base` begins a new image from base; what another stage with this base adds belongs to that stage alone.
# What happens: the last stage has the sibling's volumes and labels, and the sibling's value of a label that base set.
# This needs a base stage that has a VOLUME (or LABEL, or EXPOSE) itself, and a sibling that the last stage copies from.
# dockerd 28.5.2 does the same. An unwanted volume hides a directory of the image when a container starts. Needs root:
# the script starts its own dockerd, without network, in its own namespaces.
source "$(dirname "$0")/common/packages.sh"

debian bookworm docker.io=20.10.24+dfsg1-1+deb12u1+b6 containerd=1.6.20~ds1-1+deb12u3
export PATH=$work/debian/usr/bin:$work/debian/usr/sbin:$PATH:/usr/sbin HOME=$work DOCKER_HOST=unix://$work/engine.sock
echo '{}' >daemon.json
unshare --mount --pid --fork --kill-child --mount-proc dockerd --data-root="$work/data" --exec-root="$work/exec" \
  --pidfile="$work/pid" --config-file="$work/daemon.json" --host="$DOCKER_HOST" --storage-driver=vfs --bridge=none \
  --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false >log 2>&1 &
daemon=$!
trap 'kill -KILL "$daemon" 2>/dev/null; wait "$daemon" 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do [[ -S $work/engine.sock ]] && docker version >/dev/null 2>&1 && break; sleep 0.2; done
mkdir context
echo content >context/file
cat >context/Dockerfile <<'DOCKERFILE'
FROM scratch AS base
VOLUME /of-base
LABEL whose=base

FROM base AS sibling
VOLUME /of-sibling
LABEL whose=sibling
COPY file /file

FROM base
COPY --from=sibling /file /copied
DOCKERFILE
DOCKER_BUILDKIT=1 docker build --quiet --tag image context >/dev/null
expect "volumes of the last stage" '{"/of-base":{},"/of-sibling":{}}' "$(docker inspect --format '{{json .Config.Volumes}}' image)"
expect "labels of the last stage" '{"whose":"sibling"}' "$(docker inspect --format '{{json .Config.Labels}}' image)"
