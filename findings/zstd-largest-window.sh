#!/bin/bash
# zstd 1.5.7, bsdtar 3.7.4, zstandard 0.25.0 (PyPI), fzstd 0.1.1 (npm), skopeo 1.18.0: each reads zstd up to another window.
#
# Guess: all stop at 128 MiB, as zstd does without --long, because a larger window is only for who asks for it.
# What happens: zstd, bsdtar and zstandard stop there, skopeo, whose zstd is docker's, at 512 MiB, and fzstd at 1 GiB. So a
# layer of `zstd --long=29` can be pulled and run, and everything that is built on libzstd calls it too large. The files
# here are small: only the number in their headers is not.
source "$(dirname "$0")/common/packages.sh"

debian trixie zstd=1.5.7+dfsg-1 libzstd1 liblz4-1 libarchive-tools=3.7.4-4+deb13u1 libarchive13t64 libnettle8t64 libacl1 libxml2 liblzma5 \
  libbz2-1.0 zlib1g skopeo=1.18.0+ds1-1+b5 libgpgme11t64 libassuan9 libgpg-error0 libdevmapper1.02.1 libsubid5 libsqlite3-0 \
  libselinux1 libpcre2-8-0 libudev1 libcap2 libaudit1 libcap-ng0 libstdc++6 libgcc-s1 libc6
pypi zstandard==0.25.0
npm_packages fzstd@0.1.1
cat >write.py <<'PY'
import hashlib
import io
import json
import sys
import tarfile

import zstandard

sys.path.insert(0, sys.argv[1])
import layout

stream = io.BytesIO()
with tarfile.open(fileobj=stream, mode="w") as tar:
    tar.addfile(tarfile.TarInfo("file"), io.BytesIO())
tar = stream.getvalue()
compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
frame = compressor.compress(tar) + compressor.flush()
for log in 27, 29, 30, 31:
    # The window descriptor, RFC 8878, 3.1.1.1.2: what zstd --long=LOG writes there.
    windowed = frame[:5] + bytes([(log - 10) << 3]) + frame[6:]
    open(f"{log}.zst", "wb").write(windowed)
    made = layout.Layout(f"layout-{log}")
    layer = made.put(windowed, "layer.v1.tar+zstd")
    config = {"architecture": "amd64", "os": "linux", "config": {}}
    config["rootfs"] = {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest()]}
    described = made.put(json.dumps(config).encode(), "config.v1+json")
    made.tag(made.manifest("manifest.v1+json", {"config": described, "layers": [layer]}))
PY
"$work/python/bin/python" write.py "$common"
cat >read.mjs <<'JS'
import fs from "node:fs"
import { decompress } from "fzstd"
decompress(fs.readFileSync(process.argv[2]))
JS
by_zstd() { program zstd -dqc "$1.zst"; }
by_bsdtar() { program bsdtar -tf "$1.zst"; }
by_zstandard() { "$work/python/bin/python" -c 'import sys, zstandard; zstandard.ZstdDecompressor().decompressobj().decompress(open(sys.argv[1], "rb").read())' "$1.zst"; }
by_fzstd() { node read.mjs "$1.zst"; }
by_skopeo() { HOME=$work program skopeo --insecure-policy --tmpdir "$work" copy --dest-decompress "oci:layout-$1:latest" "dir:$work/copy-$1"; }
for row in "zstd 27" "bsdtar 27" "zstandard 27" "skopeo 27 29" "fzstd 27 29 30"; do
  read -r reader wanted <<<"$row"
  seen=
  for log in 27 29 30 31; do
    if "by_$reader" $log >/dev/null 2>&1; then seen+="$log "; fi
  done
  expect "$reader reads windows of these powers of two" "$wanted" "${seen% }"
done
