#!/bin/bash
# qemu-user 7.2.22 and 10.0.13: an emulated 32-bit program sees the machine's memory modulo 4 GiB.
#
# Guess: sysinfo(2) scales with mem_unit, as a 64-bit kernel does for its 32-bit programs, so that 24 GiB are 24 GiB.
# What happens: mem_unit stays 1, and qemu cuts totalram to 32 bits. On a machine with 24,684,092 kB, a program for
# armhf or i386 finds 3,712,572 kB; on one with slightly more than 32 GiB, it may find a few megabytes. glibc's
# sysconf(_SC_PHYS_PAGES), busybox free, and heap sizes and job counts derived from them are wrong, too. /proc/meminfo
# has the correct number.
source "$(dirname "$0")/common/packages.sh"

debian bookworm qemu-user-static=1:7.2+dfsg-7+deb12u18+b3
mv "$work/debian" "$work/qemu-7.2"
rm -r "$work"/packages-*
debian trixie qemu-user=1:10.0.13+ds-0+deb13u1
for architecture in armhf i386; do foreign trixie $architecture busybox-static=1:1.37.0-6+b9; done
total=$(awk '/^MemTotal/ {print $2}' /proc/meminfo)
cut=$((total % (4 << 20)))
if ((total == cut)); then
  echo "this machine has less than 4 GiB of memory, so qemu cuts nothing" >&2
  exit 1
fi
for row in "armhf arm" "i386 i386"; do
  read -r architecture name <<<"$row"
  for qemu in "$work/qemu-7.2/usr/bin/qemu-$name-static" "$work/debian/usr/bin/qemu-$name"; do
    seen=$("$qemu" "$work/$architecture/usr/bin/busybox" free -k | awk '/^Mem/ {print $2}')
    expect "$(basename "$qemu") of $total kB" "$cut" "$seen"
  done
done
