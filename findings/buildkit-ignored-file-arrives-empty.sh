#!/bin/bash
# BuildKit in dockerd 26.1.5: a file that .dockerignore includes again is in the image with no bytes in it.
#
# Guess: with `*`, `!**/x` and `?`, the file d/x is either in the image or not.
# What happens: it is, with its mode and its time, but with 0 bytes, and BuildKit reports nothing. The walk of the
# context applies the patterns step by step and keeps the file. When the content is sent, another function applies them
# once more, and finds that the directory `d` is ignored. A daemon that has seen the same file before takes the content
# from there, so the fault comes and goes. BuildKit in dockerd 28.5.2 does the same. Needs root.
source "$(dirname "$0")/common/packages.sh"
source "$common/dockerd.sh"

start_dockerd
mkdir -p "$root/tmp/context/d"
printf content >"$root/tmp/context/d/x"
printf '*\n!**/x\n?\n' >"$root/tmp/context/.dockerignore"
printf 'FROM scratch\nCOPY . /\n' >"$root/tmp/context/Dockerfile"
inside docker buildx build --quiet --provenance=false --output type=local,dest=/tmp/out /tmp/context >/dev/null 2>&1
expect "files of the image, with their sizes" "d/x 0" "$(cd "$root/tmp/out" && find . -type f -printf '%P %s\n')"
