#!/bin/bash
# qemu-user 7.2.22 and 10.0.13: /proc/self/exe is the program for open and readlink, and qemu for stat.
#
# Guess: qemu shows the emulated program in /proc/self/exe, whichever system call and whichever name asks.
# What happens: open and readlink of /proc/self/exe answer with the program; stat answers with qemu's inode and size, so
# a program that compares the two, or allocates as many bytes as stat says and reads, is wrong. /proc/thread-self/exe,
# /proc/self/task/ID/exe and a name relative to /proc/self are qemu for all calls.
source "$(dirname "$0")/common/packages.sh"

debian bookworm qemu-user-static=1:7.2+dfsg-7+deb12u18+b3
mv "$work/debian" "$work/qemu-7.2"
rm -r "$work"/packages-*
debian trixie qemu-user=1:10.0.13+ds-0+deb13u1
for architecture in riscv64 armhf; do foreign trixie $architecture busybox-static=1:1.37.0-6+b9; done
for row in "riscv64 riscv64" "armhf arm"; do
  read -r architecture name <<<"$row"
  busybox=$work/$architecture/usr/bin/busybox
  for qemu in "$work/qemu-7.2/usr/bin/qemu-$name-static" "$work/debian/usr/bin/qemu-$name"; do
    program=$(basename "$qemu")
    expect "$program, readlink self/exe" "$busybox" "$("$qemu" "$busybox" readlink /proc/self/exe)"
    expect "$program, bytes read from self/exe" "$(stat -c %s "$busybox")" "$("$qemu" "$busybox" cat /proc/self/exe | wc -c)"
    expect "$program, size of self/exe by stat" "$(stat -Lc %s "$qemu")" "$("$qemu" "$busybox" stat -Lc %s /proc/self/exe)"
    expect "$program, readlink thread-self/exe" "$(realpath "$qemu")" "$("$qemu" "$busybox" readlink /proc/thread-self/exe)"
    expect "$program, readlink exe in /proc/self" "$(realpath "$qemu")" "$(cd /proc/self && exec "$qemu" "$busybox" readlink exe)"
  done
done
