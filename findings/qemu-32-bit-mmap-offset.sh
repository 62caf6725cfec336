#!/bin/bash
# qemu-user 7.2.22: a 32-bit program that maps a file beyond 4 GiB gets the wrong part of the file.
#
# Guess: mmap2 counts in pages so that a 32-bit program can map large files, and so it does under qemu; if not, it fails.
# What happens: qemu shifts the page number to bytes in a 32-bit integer. A program for armhf or i386 that maps page
# 0x140000 (5 GiB) sees what is at 1 GiB, without an error. pread with that offset is correct. qemu 10.0.13 is correct,
# too. Affected: programs that map parts of large files, such as git (packs) and databases.
source "$(dirname "$0")/common/packages.sh"

debian bookworm qemu-user-static=1:7.2+dfsg-7+deb12u18+b3
mv "$work/debian" "$work/qemu-7.2"
rm -r "$work"/packages-*
debian trixie qemu-user=1:10.0.13+ds-0+deb13u1
for architecture in armhf i386; do foreign bookworm $architecture perl-base libc6 libcrypt1; done
python3 - <<'PY'
with open("large", "wb") as file: # sparse
    for gibibytes in (1, 5):
        file.seek(gibibytes << 30)
        file.write(b"%d GiB" % gibibytes + bytes(4091))
PY
cat >map.pl <<'PL'
open(my $file, "<", "large") or die;
# mmap2 has the number 192 on both; read only, private.
my $address = syscall(192, 0, 4096, 1, 2, fileno($file), (5 << 18));
print unpack("P5", pack("L!", $address)), "\n";
PL
for row in "armhf arm" "i386 i386"; do
  read -r architecture name <<<"$row"
  perl=$work/$architecture/usr/bin/perl
  expect "qemu 7.2, $architecture, maps 5 GiB" "1 GiB" "$("$work/qemu-7.2/usr/bin/qemu-$name-static" -L "$work/$architecture" "$perl" map.pl)"
  expect "qemu 10.0, $architecture, maps 5 GiB" "5 GiB" "$("$work/debian/usr/bin/qemu-$name" -L "$work/$architecture" "$perl" map.pl)"
done
