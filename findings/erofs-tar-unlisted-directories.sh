#!/bin/bash
# mkfs.erofs 1.8.6 --tar: a directory that the archive does not list is writable for everyone.
#
# Guess: mode 0755, owned by root, as docker, podman, GNU tar (umask) and libarchive create it.
# What happens: mode 0777. The root directory is one of these directories, because layers of container images do not
# list it.
source "$(dirname "$0")/common/packages.sh"

debian trixie erofs-utils=1.8.6-1 libc6 libzstd1 liblzma5 libfuse2t64 libselinux1 libuuid1 libblkid1 libdeflate0 \
  libxxhash0 libpcre2-8-0 liblz4-1 zlib1g
python3 - <<'PY'
import io, tarfile
with tarfile.open("layer.tar", "w") as tar:
    tar.addfile(tarfile.TarInfo("opt/tool/run"), io.BytesIO())
PY
program mkfs.erofs --quiet --tar=f image layer.tar
(umask 022; program fsck.erofs --extract=out --preserve image >/dev/null)
expect "modes of /, /opt and /opt/tool" "777 777 777" "$(stat -c %a out out/opt out/opt/tool | xargs)"
