// Readers of node, Bun and Deno, and npm's packages: the tar, or with node-tar and tar-stream the sum of its files.
// readers.mjs READER PATH
import { createRequire } from "node:module";
import fs from "node:fs";
import zlib from "node:zlib";
import process from "node:process";

const [reader, path] = process.argv.slice(2);
const require = createRequire(process.env.READERS_PACKAGES ? process.env.READERS_PACKAGES + "/x.js" : import.meta.url);
const raw = () => fs.readFileSync(path);

const TABLE = Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n >>> 0;
});
function crc32(data) {
  let crc = 0xffffffff;
  for (let at = 0; at < data.length; at++) crc = TABLE[(crc ^ data[at]) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function write(data) {
  for (let at = 0; at < data.length; ) {
    try {
      at += fs.writeSync(1, data, at, Math.min(1 << 20, data.length - at));
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

async function web(format) {
  const stream = new Blob([raw()]).stream().pipeThrough(new DecompressionStream(format));
  write(new Uint8Array(await new Response(stream).arrayBuffer()));
}

class Sum {
  count = 0;
  size = 0;
  total = 0;
  add(content) {
    this.count++;
    this.size += content.length;
    this.total = (this.total + crc32(content)) % 2 ** 32;
  }
  toString() {
    return `${this.count} ${this.size} ${this.total}\n`;
  }
}

async function tarStream(source) {
  const sum = new Sum();
  const extract = require("tar-stream").extract();
  source.on("error", (error) => extract.destroy(error));
  source.pipe(extract);
  for await (const entry of extract) {
    const parts = [];
    for await (const part of entry) parts.push(part);
    if (entry.header.type === "file") sum.add(Buffer.concat(parts));
  }
  process.stdout.write(String(sum));
}

async function nodeTar() {
  const sum = new Sum();
  await require("tar").list({
    file: path,
    onReadEntry: (entry) => {
      const parts = [];
      entry.on("data", (part) => parts.push(part));
      entry.on("end", () => entry.type === "File" && sum.add(Buffer.concat(parts)));
    },
  });
  process.stdout.write(String(sum));
}

const READERS = {
  gunzipSync: () => write(zlib.gunzipSync(raw())),
  createGunzip: async () => {
    for await (const part of fs.createReadStream(path).pipe(zlib.createGunzip())) write(part);
  },
  DecompressionStream: () => web("gzip"),
  pako: () => write(require("pako").ungzip(raw())),
  "pako 2": () => write(require("pako2").ungzip(raw())),
  fflate: () => write(require("fflate").gunzipSync(raw())),
  "tar-stream": () => tarStream(fs.createReadStream(path).pipe(zlib.createGunzip())),
  "node-tar": nodeTar,
  "Bun.gunzipSync": () => write(globalThis.Bun.gunzipSync(raw())),
  "Bun.zstdDecompressSync": () => write(globalThis.Bun.zstdDecompressSync(raw())),
  zstdDecompressSync: () => write(zlib.zstdDecompressSync(raw())),
  fzstd: () => write(require("fzstd").decompress(raw())),
};
await READERS[reader]();
