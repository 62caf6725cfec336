#!/bin/bash
# A file with holes in a tar of GNU tar's pax form (sparse format 1.0): many readers give the map of the holes as content.
#
# Guess: expanded, or refused as unknown.
# What happens: mkfs.erofs 1.8.6 --tar and the npm packages tar 7.5.23, tar-stream 3.2.2, modern-tar 0.8.6 and nanotar
# 0.3.0 say that there is a file ./GNUSparseFile.PID/holes, whose content is the map and the pieces. Nothing is reported.
# ratarmountcore 0.11.1 (PyPI), sqfstar and tar2sqfs expand it.
source "$(dirname "$0")/common/packages.sh"

debian trixie erofs-utils=1.8.6-1 libc6 libzstd1 liblzma5 libfuse2t64 libselinux1 libuuid1 libblkid1 libdeflate0 \
  libxxhash0 libpcre2-8-0 liblz4-1 zlib1g
npm_packages tar@7.5.23 tar-stream@3.2.2 modern-tar@0.8.6 nanotar@0.3.0
python3 -c 'f = open("holes", "wb"); f.seek(1 << 20); f.write(b"middle"); f.truncate(3 << 20)'
tar --format=posix --sparse -cf layer.tar holes
program mkfs.erofs --quiet --tar=f image layer.tar
program fsck.erofs --extract=out image >/dev/null
expect "mkfs.erofs: files" "4608 GNUSparseFile.N/holes" "$(cd out && find . -type f -printf '%s %P\n' | sed 's/File\.[0-9]*/File.N/')"
cat >read.mjs <<'JS'
import fs from "node:fs"
import { Parser } from "tar"
import { parseTar } from "nanotar"
import { unpackTar } from "modern-tar"
import stream from "tar-stream"
const bytes = fs.readFileSync("layer.tar")
const extract = stream.extract()
extract.on("entry", (header, body, next) => { console.log(header.name, header.size); body.on("end", next).resume() })
extract.end(bytes)
await new Promise((done) => extract.on("finish", done))
console.log(parseTar(bytes)[0].name, parseTar(bytes)[0].size)
const [entry] = await unpackTar(bytes)
console.log(entry.header.name, entry.data.length)
new Parser({ onReadEntry: (one) => { console.log(one.path, one.size); one.resume() } }).end(bytes)
JS
expect "four npm readers" "4 x ./GNUSparseFile.N/holes 4608" "$(node read.mjs | sed 's/File\.[0-9]*/File.N/' | sort | uniq -c | sed 's/^ *\([0-9]*\)/\1 x/')"
