#!/bin/bash
# qemu-user 7.2.22 and 10.0.13: /proc/self/stat of an emulated program says 0 for nearly everything.
#
# Guess: process group, session, memory and processor time are there; they are those of the process that is qemu.
# What happens: qemu writes the file itself, with the process id, the name, the parent, the start time and the stack; the
# other fields are 0. Another process's file is the kernel's. Affected: programs that measure themselves, such as
# Prometheus' clients, whose memory and processor time are 0.
source "$(dirname "$0")/common/packages.sh"

debian bookworm qemu-user-static=1:7.2+dfsg-7+deb12u18+b3
mv "$work/debian" "$work/qemu-7.2"
rm -r "$work"/packages-*
debian trixie qemu-user=1:10.0.13+ds-0+deb13u1 busybox-static=1:1.37.0-6+b9
for architecture in riscv64 armhf; do foreign trixie $architecture busybox-static=1:1.37.0-6+b9; done
fields() { sed 's/.*) //' | awk '{print ($3 > 0), ($4 > 0), ($21 > 0), ($22 > 0)}'; } # process group, session, memory, resident
expect "native: group, session, memory, resident" "1 1 1 1" "$("$work/debian/usr/bin/busybox" cat /proc/self/stat | fields)"
for row in "riscv64 riscv64" "armhf arm"; do
  read -r architecture name <<<"$row"
  busybox=$work/$architecture/usr/bin/busybox
  for qemu in "$work/qemu-7.2/usr/bin/qemu-$name-static" "$work/debian/usr/bin/qemu-$name"; do
    expect "$(basename "$qemu"), its own" "0 0 0 0" "$("$qemu" "$busybox" cat /proc/self/stat | fields)"
    expect "$(basename "$qemu"), another process" "1 1 1 1" "$("$qemu" "$busybox" cat /proc/$$/stat | fields)"
  done
done
