#!/bin/bash
# qemu-user 7.2.22 and 10.0.13: `ulimit -v`, `-d` and `-s` succeed in an emulated program, and change nothing.
#
# Guess: the limits of memory, data and stack are those of the process, so they count qemu's own memory in addition; a
# program is limited a little too early.
# What happens: qemu drops these three, says that they are set, and still answers "unlimited". Other limits, such as the
# number of open files, are set. A build that proves that a program needs no more than so much memory proves nothing when
# it is emulated, and a test that wants an allocation to fail is given the memory.
source "$(dirname "$0")/common/packages.sh"

debian bookworm qemu-user-static=1:7.2+dfsg-7+deb12u18+b3
mv "$work/debian" "$work/qemu-7.2"
rm -r "$work"/packages-*
debian trixie qemu-user=1:10.0.13+ds-0+deb13u1 busybox-static=1:1.37.0-6+b9
for architecture in riscv64 s390x; do foreign trixie $architecture busybox-static=1:1.37.0-6+b9; done
limits='for flag in v d s n; do ulimit -S -$flag 999 || echo failed; ulimit -S -$flag; done'
asked() { ulimit -S -s 8192; "$@" sh -c "$limits" | tr '\n' ' '; }
expect "native: memory, data, stack, files" "999 999 999 999 " "$(asked "$work/debian/usr/bin/busybox")"
for architecture in riscv64 s390x; do
  for qemu in "$work/qemu-7.2/usr/bin/qemu-$architecture-static" "$work/debian/usr/bin/qemu-$architecture"; do
    expect "$(basename "$qemu"): the same" "unlimited unlimited 8192 999 " "$(asked "$qemu" "$work/$architecture/usr/bin/busybox")"
  done
done
