#!/bin/bash
# qemu-user 7.2.22 and 10.0.13: in a 32-bit program, msync of an address without memory succeeds.
#
# Guess: ENOMEM, as on real processors and in emulated 64-bit programs; libunwind asks in this way whether it can read
# an address.
# What happens: 0. qemu reserves all 4 GiB of a 32-bit program from the host, so the host has a mapping everywhere, and
# its answer is passed on. mincore, which qemu answers itself, says ENOMEM.
source "$(dirname "$0")/common/packages.sh"

debian bookworm qemu-user-static=1:7.2+dfsg-7+deb12u18+b3
mv "$work/debian" "$work/qemu-7.2"
rm -r "$work"/packages-*
debian trixie qemu-user=1:10.0.13+ds-0+deb13u1
for architecture in armhf mips64el; do foreign bookworm $architecture perl-base libc6 libcrypt1; done
ln -sf ../lib/mips64el-linux-gnuabi64/ld.so.1 "$work/mips64el/lib64/ld.so.1"
cat >ask.pl <<'PL'
my ($number, $address) = @ARGV; # the number of msync, and an address that nothing uses
print syscall($number, oct($address), 4096, 1) == 0 ? "memory" : $! + 0 == 12 ? "ENOMEM" : $!, "\n";
PL
for row in "armhf arm 144 0x50000000 memory" "mips64el mips64el 5025 0x1234567000 ENOMEM"; do
  read -r architecture name number address wanted <<<"$row"
  for qemu in "$work/qemu-7.2/usr/bin/qemu-$name-static" "$work/debian/usr/bin/qemu-$name"; do
    expect "$(basename "$qemu")" "$wanted" "$("$qemu" -L "$work/$architecture" "$work/$architecture/usr/bin/perl" ask.pl "$number" "$address")"
  done
done
