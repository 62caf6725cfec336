#!/bin/bash
# mkfs.erofs 1.8.6 --tar: reads the fraction of a pax mtime as a whole number of nanoseconds.
#
# Guess: `mtime=1000000000.75`, as GNU tar, Python and Go write it, becomes 750,000,000 ns (or is cut off).
# What happens: it becomes 75 ns; `.750000000` becomes the correct 750,000,000 ns. So the result depends on the program
# that wrote the archive: programs that drop trailing zeros, as the pax rules allow, get other times. There is no
# message, and the exit status is 0.
source "$(dirname "$0")/common/packages.sh"

debian trixie erofs-utils=1.8.6-1 libc6 libzstd1 liblzma5 libfuse2t64 libselinux1 libuuid1 libblkid1 libdeflate0 \
  libxxhash0 libpcre2-8-0 liblz4-1 zlib1g
python3 - <<'PY'
import io, tarfile
with tarfile.open("layer.tar", "w", format=tarfile.PAX_FORMAT) as tar:
    for name, records in (("short", {"mtime": "1000000000.75"}), ("long", {"mtime": "1000000000.750000000"})):
        member = tarfile.TarInfo(name)
        member.mtime, member.pax_headers = 1_000_000_000, records
        tar.addfile(member, io.BytesIO())
PY
program mkfs.erofs --quiet --tar=f image layer.tar
program fsck.erofs --extract=out --preserve image >/dev/null
expect "mtime=1000000000.75" "1000000000.0000000750" "$(find out/short -printf '%T@')"
expect "mtime=1000000000.750000000" "1000000000.7500000000" "$(find out/long -printf '%T@')"
