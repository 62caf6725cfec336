#!/bin/bash
# qemu-user 7.2.22 for arm64: a shell of Debian 13 spends seven eighths of its time on pointer authentication.
#
# Guess: programs with pointer authentication take at most twice as long, because each function has two such instructions
# and QARMA5 is a small cipher.
# What happens: a loop in busybox's shell takes 8 times as long as with QEMU_CPU=max,pauth-impdef=on, a SHA-256 twice. It
# concerns all programs compiled with -mbranch-protection: those of Debian 13, Ubuntu and Fedora. qemu 10.0 has the
# faster algorithm as its default.
source "$(dirname "$0")/common/packages.sh"

debian bookworm qemu-user-static=1:7.2+dfsg-7+deb12u18+b3
foreign trixie arm64 busybox-static=1:1.37.0-6+b9

# Processor time in milliseconds.
took() {
  local seconds
  seconds=$(TIMEFORMAT=%U; { time "$work/debian/usr/bin/qemu-aarch64-static" "$work/arm64/usr/bin/busybox" sh -c \
    'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done'; } 2>&1)
  echo "${seconds/./}" | sed 's/^0*//'
}
default=$(took)
export QEMU_CPU=max,pauth-impdef=on
fast=$(took)
echo "default: $default ms, pauth-impdef: $fast ms"
expect "more than 4 times as long" yes "$( ((default > 4 * fast)) && echo yes || echo no)"
