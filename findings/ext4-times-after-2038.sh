#!/bin/bash
# debugfs of e2fsprogs 1.47.2 and dissect.extfs 3.15 (PyPI): a file of 2100 on ext4 is of 2236 for them, one of 1969 of 2106.
#
# Guess: both read times as Linux, 7-Zip and debugfs 1.47.0 do: the 32 bits in the inode are signed, and two bits elsewhere
# count steps of 2^32 seconds from there.
# What happens: both take the 32 bits for unsigned and then add the steps, so each time that is before 1970 or after 2038
# is 136 years late. debugfs stores such a time right, and shows another one at once.
source "$(dirname "$0")/common/packages.sh"

debian bookworm e2fsprogs=1.47.0-2+b2 libext2fs2=1.47.0-2+b2 libss2=1.47.0-2+b2 libcom-err2=1.47.0-2+b2 libblkid1 libuuid1 libc6
mv "$work/debian" "$work/old"
rm -r "$work"/packages-*
debian trixie e2fsprogs=1.47.2-3+b12 libext2fs2t64=1.47.2-3+b12 libss2=1.47.2-3+b12 libcom-err2=1.47.2-3+b12 libblkid1 libuuid1 \
  libarchive13t64 7zip=25.01+dfsg-1~deb13u2 libstdc++6 libgcc-s1 libc6
pypi dissect.extfs==3.15
: >empty
truncate -s 8M image
program mke2fs -q -t ext4 image
for row in 1969:-86400 2023:1672531200 2100:4102444800; do
  printf 'write empty %s\nset_inode_field %s mtime @%s\n' "${row%:*}" "${row%:*}" "${row#*:}"
done | program debugfs -w -f - image >/dev/null 2>&1
debugfs() { # ROOT NAME: the bits in the inode, and the year
  local libraries=$1/usr/lib/x86_64-linux-gnu:$1/lib/x86_64-linux-gnu loader tool
  for loader in "$1"/{usr/,}lib/x86_64-linux-gnu/ld-linux-x86-64.so.2; do [[ -e $loader ]] && break; done
  for tool in "$1"/{usr/,}sbin/debugfs; do [[ -e $tool ]] && break; done
  TZ=UTC "$loader" --library-path "$libraries" "$tool" -R "stat /$2" image 2>/dev/null |
    sed -n 's/^ *mtime: \([^ ]*\) .* \([0-9]*\)$/\1 \2/p'
}
seven() {
  "$work/debian/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --library-path "$work/debian/usr/lib/x86_64-linux-gnu" \
  "$work/debian/usr/lib/7zip/7z" l -slt image | sed -n "/^Path = $1\$/,/^\$/s/^Modified = \([0-9]*\)-.*/\1/p"
}
dissect() {
  "$work/python/bin/python" -c 'import sys; from dissect.extfs import ExtFS
print(ExtFS(open("image", "rb")).get(sys.argv[1]).mtime.year)' "$1"
}
for row in "1969 0xfffeae80:00000000 2106" "2023 0x63b0cd00:00000000 2023" "2100 0xf4865700:00000001 2236"; do
  read -r year bits seen <<<"$row"
  expect "$year in debugfs 1.47.0" "$bits $year" "$(debugfs "$work/old" "$year")"
  expect "$year in 7-Zip" "$year" "$(seven "$year")"
  expect "$year in debugfs 1.47.2" "$bits $seen" "$(debugfs "$work/debian" "$year")"
  expect "$year in dissect.extfs" "$seen" "$(dissect "$year")"
done
