#!/bin/bash
# npm tar-stream 3.2.2 and nanotar 0.3.0: read a user id above 2,097,151 in a tar as 0, root.
#
# Guess: they read the pax records `uid` and `gid`, as they read `path`, `size` and `mtime`.
# What happens: they ignore these records and use the ustar field, which is too small for such an id and has 0.
# OpenShift and other platforms give ids of that size to pods, and ranges of subordinate ids contain them. tar 7.5.23
# (node-tar) and modern-tar 0.8.6 read the records.
source "$(dirname "$0")/common/packages.sh"

npm_packages tar-stream@3.2.2 nanotar@0.3.0 tar@7.5.23 modern-tar@0.8.6
python3 - <<'PY'
import io, tarfile
with tarfile.open("layer.tar", "w", format=tarfile.PAX_FORMAT) as tar:
    member = tarfile.TarInfo("file")
    member.uid = 1_000_660_000
    tar.addfile(member, io.BytesIO())
PY
cat >read.mjs <<'JS'
import fs from "node:fs"
import { Parser } from "tar"
import { parseTar } from "nanotar"
import { unpackTar } from "modern-tar"
import stream from "tar-stream"
const bytes = fs.readFileSync("layer.tar")
const extract = stream.extract()
extract.on("entry", (header, body, next) => { console.log("tar-stream", header.uid); body.on("end", next).resume() })
extract.end(bytes)
await new Promise((done) => extract.on("finish", done))
console.log("nanotar", parseTar(bytes)[0].attrs.uid)
console.log("modern-tar", (await unpackTar(bytes))[0].header.uid)
const parser = new Parser({ onReadEntry: (entry) => { console.log("node-tar", entry.uid); entry.resume() } })
parser.end(bytes)
JS
expect "user ids" "tar-stream 0;nanotar 0;modern-tar 1000660000;node-tar 1000660000;" "$(node read.mjs | tr '\n' ';')"
