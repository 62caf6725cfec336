#!/bin/bash
# qemu-user 7.2.22 (with tini 0.19.0): `tini -s` does not start in an emulated container.
#
# Guess: prctl(PR_SET_CHILD_SUBREAPER) works, because qemu has nothing to translate: the argument is a number, and the
# children of an emulated program are the kernel's processes.
# What happens: EINVAL, which tini reports as "unavailable on this platform. Are you using Linux >= 3.4?", with exit
# status 1. Neighbours such as PR_SET_PDEATHSIG pass. qemu 10.0.13 has it. Without -s, tini runs (and as process 1 it
# needs no -s).
source "$(dirname "$0")/common/packages.sh"

debian bookworm qemu-user-static=1:7.2+dfsg-7+deb12u18+b3
mv "$work/debian" "$work/qemu-7.2"
rm -r "$work"/packages-*
debian trixie qemu-user=1:10.0.13+ds-0+deb13u1
for architecture in arm64 armhf; do foreign bookworm $architecture tini; done
run() { # QEMU ARCHITECTURE ARG…: tini's exit status and its message
  local status=0
  "$1" "$work/$2/usr/bin/tini-static" "${@:3}" -- "$BASH" -c 'exit 7' 2>error.txt || status=$?
  echo "$status $(grep -o 'PR_SET_CHILD_SUBREAPER is unavailable' error.txt | head -1)"
}
for row in "arm64 aarch64" "armhf arm"; do
  read -r architecture name <<<"$row"
  old=$work/qemu-7.2/usr/bin/qemu-$name-static
  expect "qemu 7.2, $architecture, tini -s" "1 PR_SET_CHILD_SUBREAPER is unavailable" "$(run "$old" $architecture -s)"
  expect "qemu 7.2, $architecture, tini -p SIGTERM" "7 " "$(run "$old" $architecture -p SIGTERM)"
  expect "qemu 10.0, $architecture, tini -s" "7 " "$(run "$work/debian/usr/bin/qemu-$name" $architecture -s)"
done
