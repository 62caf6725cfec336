#!/bin/bash
# The same file twice in one tar (`tar --append` after a change): tools that make file system images disagree.
#
# Guess: the later entry wins everywhere, as in POSIX, tar, docker, podman and umoci.
# What happens: sqfstar 4.5.1 keeps the FIRST one, with a note and exit status 0. genext2fs 1.5.0 keeps the first one
# without a note, and gives the mode of the second entry to the directory that contains it. tar2sqfs 1.2.0 refuses the
# archive.
source "$(dirname "$0")/common/packages.sh"

debian bookworm squashfs-tools=1:4.5.1-1 squashfs-tools-ng=1.2.0-1 libsquashfs1=1.2.0-1 genext2fs=1.5.0-3 e2fsprogs \
  liblzo2-2 liblz4-1 liblzma5 libzstd1 zlib1g libext2fs2 libcom-err2 libss2
python3 - <<'PY'
import io, tarfile
with tarfile.open("layer.tar", "w") as tar:
    for content in (b"first\n", b"second\n"):
        member = tarfile.TarInfo("file")
        member.size, member.mode = len(content), 0o640
        tar.addfile(member, io.BytesIO(content))
PY
program sqfstar -quiet -no-progress one.sqfs <layer.tar
expect "sqfstar" "first" "$(program unsquashfs -cat one.sqfs file)"
program genext2fs -b 2048 -a layer.tar one.ext2 2>/dev/null
expect "genext2fs, content" "first" "$(program debugfs -R 'cat file' one.ext2 2>/dev/null)"
expect "genext2fs, mode of the root directory" "40640" "$(program debugfs -R 'ls -l' one.ext2 2>/dev/null | awk '$NF == "." {print $2}')"
expect "tar2sqfs, exit status" 1 "$(program tar2sqfs --quiet two.sqfs <layer.tar >/dev/null 2>&1; echo $?)"
