#!/bin/bash
# sqfstar 4.5.1 (squashfs-tools): an archive that does not list its root gets a root directory with mode 0777.
#
# Guess: 0755, the mode of the directories that it creates for other unlisted parents.
# What happens: `/` is 0777, and `/opt` is 0755. tar2sqfs 1.2.0 of squashfs-tools-ng gives 0755 to both. Layers of
# container images, and the output of `docker export`, do not list the root.
source "$(dirname "$0")/common/packages.sh"

debian bookworm squashfs-tools=1:4.5.1-1 squashfs-tools-ng=1.2.0-1 libsquashfs1=1.2.0-1 liblzo2-2 liblz4-1 liblzma5 libzstd1 zlib1g
python3 - <<'PY'
import io, tarfile
with tarfile.open("layer.tar", "w") as tar:
    tar.addfile(tarfile.TarInfo("opt/run"), io.BytesIO())
PY
program sqfstar -quiet -no-progress one.sqfs <layer.tar
program tar2sqfs --quiet two.sqfs <layer.tar
modes() { program unsquashfs -lln "$1" | awk 'NF > 4 {print $1}' | sed -n 1,2p | xargs; }
expect "sqfstar: / and /opt" "drwxrwxrwx drwxr-xr-x" "$(modes one.sqfs)"
expect "tar2sqfs: / and /opt" "drwxr-xr-x drwxr-xr-x" "$(modes two.sqfs)"
