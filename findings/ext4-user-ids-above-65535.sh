#!/bin/bash
# dissect.target 3.25.1 (PyPI) and e2ls of e2tools 0.1.2: on ext4, the owner 1000660000 is 56352, and 65536 is 0, root.
#
# Guess: both put the two halves of an owner together, which ext2 has had since Linux 2.4.
# What happens: both read the lower 16 bits, and say nothing of the others. Root file systems of containers are full of
# owners above 65535: those of subordinate ids begin at 100000, those of OpenShift at 1000000000. debugfs shows the owner.
source "$(dirname "$0")/common/packages.sh"

debian trixie e2fsprogs=1.47.2-3+b12 libext2fs2t64=1.47.2-3+b12 libss2=1.47.2-3+b12 libcom-err2=1.47.2-3+b12 libblkid1 libuuid1 \
  libarchive13t64 e2tools=0.1.2-1 libc6
pypi dissect.target==3.25.1 dissect.extfs==3.15
: >empty
truncate -s 8M image
program mke2fs -q -t ext4 image
owners="1000 65536 1000660000"
for owner in $owners; do
  printf 'write empty %s\nset_inode_field %s uid %s\n' "$owner" "$owner" "$owner"
done | program debugfs -w -f - image >/dev/null 2>&1
by_debugfs() { for owner in $owners; do program debugfs -R "stat /$owner" image 2>/dev/null | sed -n 's/^User: *\([0-9]*\) .*/\1/p'; done | tr '\n' ' '; }
by_e2ls() { for owner in $owners; do program e2ls -ln "image:/$owner" | awk 'NF {print $3}'; done | tr '\n' ' '; }
cat >read.py <<'PY'
import sys

from dissect.target.filesystems.extfs import ExtFilesystem

filesystem = ExtFilesystem(open("image", "rb"))
for name in sys.argv[1:]:
    print(filesystem.get(name).stat().st_uid, end=" ")
PY
expect "debugfs" "1000 65536 1000660000 " "$(by_debugfs)"
expect "e2ls" "1000 0 56352 " "$(by_e2ls)"
expect "dissect.target" "1000 0 56352 " "$("$work/python/bin/python" read.py $owners)"
