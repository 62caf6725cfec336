#!/bin/bash
# npm fflate 0.8.2: returns the first member of a gzip stream and drops the others, without an error.
#
# Guess: gunzipSync, or at least the streaming Gunzip, reads all members, as gzip(1), node and npm's pako do (RFC 1952,
# 2.2); or it reports what is left.
# What happens: both return the first member. An eStargz layer, and every layer that was compressed in parts, has many
# members, so a browser that shows an image's files with fflate shows those of the first one.
source "$(dirname "$0")/common/packages.sh"

npm_packages fflate@0.8.2 pako@2.1.0
python3 -c 'import gzip; open("layer.gz", "wb").write(gzip.compress(b"first,") + gzip.compress(b"second"))'
cat >read.mjs <<'JS'
import fs from "node:fs"
import zlib from "node:zlib"
import { Gunzip, gunzipSync } from "fflate"
import pako from "pako"
const bytes = fs.readFileSync("layer.gz")
const text = (chunks) => Buffer.concat(chunks.map((chunk) => Buffer.from(chunk))).toString()
const chunks = []
new Gunzip((chunk) => chunks.push(chunk)).push(bytes, true)
console.log(["node", text([zlib.gunzipSync(bytes)]), "pako", text([pako.ungzip(bytes)])].join(" "))
console.log(["fflate", text([gunzipSync(bytes)]), "fflate, streaming", text(chunks)].join(" "))
JS
node read.mjs >seen.txt
expect "others" "node first,second pako first,second" "$(sed -n 1p seen.txt)"
expect "fflate" "fflate first, fflate, streaming first," "$(sed -n 2p seen.txt)"
