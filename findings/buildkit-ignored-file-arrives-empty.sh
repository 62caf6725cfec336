#!/bin/bash
# BuildKit in dockerd 26.1.5: a file that .dockerignore takes back comes into the image with no bytes in it.
#
# Guess: with `*`, `!**/x` and `?`, the file d/x is either in the image or not.
# What happens: it is, with its mode and its time, and with 0 bytes; nothing is reported. The walk of the context asks
# its patterns step by step and keeps the file; when its content is sent, they are asked once more in another way, and
# say that the directory `d` is ignored. In a daemon that has had the same file before, its content comes from there, so
# that the fault comes and goes. BuildKit in dockerd 28.5.2 does the same. Needs root.
source "$(dirname "$0")/common/packages.sh"
source "$common/dockerd.sh"

start_dockerd
mkdir -p "$root/tmp/context/d"
printf content >"$root/tmp/context/d/x"
printf '*\n!**/x\n?\n' >"$root/tmp/context/.dockerignore"
printf 'FROM scratch\nCOPY . /\n' >"$root/tmp/context/Dockerfile"
inside docker buildx build --quiet --provenance=false --output type=local,dest=/tmp/out /tmp/context >/dev/null 2>&1
expect "files of the image, with their sizes" "d/x 0" "$(cd "$root/tmp/out" && find . -type f -printf '%P %s\n')"
