#!/bin/bash
# mke2fs 1.47.2 -d: clamps times after 2038-01-19 to that second, although its inodes of 256 bytes hold times up to 2446.
#
# Guess: mke2fs keeps the time, because the inodes have the extra bits, and the kernel keeps such times on the same file
# system.
# What happens: 2147483647, without a message, for a directory and for a tar alike. An expiry date that a release sets
# as the time of a file, or a build on a machine with a wrong clock, becomes 2038.
source "$(dirname "$0")/common/packages.sh"

debian trixie e2fsprogs=1.47.2-3+b12 libext2fs2t64=1.47.2-3+b12 libcom-err2 libss2 libuuid1 libblkid1 libc6 libarchive13t64 \
  libacl1 libnettle8t64 liblz4-1 libbz2-1.0 liblzma5 libzstd1 zlib1g libxml2 libssl3t64
mkdir tree
touch -d @2208988800 tree/file # 2040
truncate -s 8M image
program mke2fs -q -F -t ext4 -I 256 -d tree image
seen=$(program debugfs -R 'stat file' image 2>/dev/null)
expect "inode's extra fields" "Size of extra inode fields: 32" "$(grep -o 'Size of extra inode fields: 32' <<<"$seen")"
expect "time of a file of 2040" "0x7fffffff:00000000" "$(sed -nE 's/^ *mtime: (\S+).*/\1/p' <<<"$seen")"
