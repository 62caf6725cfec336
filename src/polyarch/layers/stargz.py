"""eStargz layers: gzip layers from which a runtime can read single files without pulling the rest (lazy pulling).

The format is that of https://github.com/containerd/stargz-snapshotter (docs/estargz.md): each non-empty file begins a
new gzip member, the last tar entry is a JSON table of contents, and an empty member at the end has the offset of the
table. As in BuildKit, the tar ends before the table, so that the table is not a file of the image, and there is no
landmark file. Such layers have as many members as files, so programs that read only the first member of a stream read
almost nothing of them.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import msgspec

from polyarch.errors import UnsupportedError
from polyarch.layers import headers
from polyarch.layers.compression import Compression
from polyarch.layers.content import copy_pieces
from polyarch.layers.entry import Content, Entry, Item, Kind, clean
from polyarch.layers.listing import KEPT, KEPT_SIZE, ListedEntry
from polyarch.layers.pack import Blocks, KnownBlock, LayerSink, Packed, TarBuilder
from polyarch.layers.reader import members
from polyarch.oci import digest as digests
from polyarch.oci.digest import Digest
from polyarch.oci.layer_table import STARGZ_TOC_DIGEST
from polyarch.oci.place import Readable

# The descriptor's annotation with the size of the tar.
UNCOMPRESSED_SIZE = "io.containers.estargz.uncompressed-size"
TOC_NAME = "stargz.index.json"

# The part of a large file that a runtime fetches at once; the value of the reference implementation.
_CHUNK = 4 << 20
_TYPES: dict[Kind, str] = {
    "file": "reg",
    "directory": "dir",
    "symlink": "symlink",
    "hardlink": "hardlink",
    "character": "char",
    "block": "block",
    "fifo": "fifo",
}


class _TocEntry(msgspec.Struct, rename="camel", omit_defaults=True):
    """An entry of the table, with the names of the specification."""

    name: str
    type: str
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int = 0
    modtime: str = ""
    link_name: str = ""
    dev_major: int = 0
    dev_minor: int = 0
    xattrs: dict[str, str] = {}
    digest: str = ""
    offset: int = 0
    chunk_offset: int = 0
    chunk_size: int = 0
    chunk_digest: str = ""


class _Toc(msgspec.Struct):
    version: int
    entries: list[_TocEntry]


def pack(
    items: Iterable[Item],
    output: LayerSink,
    compression: Compression,
    workers: int = 2,
    known: KnownBlock | None = None,
    size: int | None = None,
) -> Packed:
    """Write the eStargz layer of `items` to `output`, see `pack.pack`. `known` and `size` are ignored.

    Raises UnsupportedError for an entry with the name of the table, and what `pack.pack` raises.
    """
    from concurrent.futures import ThreadPoolExecutor

    tar = _StargzTar()
    with ThreadPoolExecutor(max(1, workers), "pack") as pool:
        blocks = Blocks(output, compression, pool, max(1, workers), None)
        try:
            for entry, content in items:
                tar.add(entry, content, blocks.add)
            tar.end(blocks.add)
            blocks.drain()
            table = tar.table(blocks.offsets)
            at = blocks.written
            blocks.add(_as_tar(table))
            blocks.finish(_footer(at))
        except BaseException:
            blocks.cancel()
            raise
    digest = Digest(f"sha256:{blocks.blob.hexdigest()}")
    return Packed(
        diff_id=Digest(f"sha256:{blocks.plain.hexdigest()}"),
        digest=digest,
        size=blocks.written,
        media_type=compression.media_type(),
        encoded=tar.entries.encode(blocks.position, tar.texts, blocks.entrances(digest)),
        annotations={STARGZ_TOC_DIGEST: digests.of(table), UNCOMPRESSED_SIZE: str(blocks.position)},
    )


def repack(tar: Readable, output: LayerSink, compression: Compression, workers: int = 2) -> Packed:
    """Write the entries of an uncompressed `tar` as an eStargz layer. The table makes its diff id different."""
    return pack(_items(tar), output, compression, workers)


def _items(tar: Readable) -> Iterable[Item]:
    for entry, content in members(tar):
        link = clean(entry.link) if entry.kind == "hardlink" else entry.link
        item = msgspec.structs.replace(entry, path=clean(entry.path), link=link)
        yield item, (lambda content=content: _MemberReader(content)) if entry.kind == "file" else None


class _MemberReader:
    """A member's content as a BlobReader. It owns nothing: the tar's reader continues after it."""

    def __init__(self, content: Readable) -> None:
        self.read = content.read

    def close(self) -> None:
        """Nothing to close."""

    def __enter__(self) -> "_MemberReader":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""


class _StargzTar(TarBuilder):
    """The tar of the entries, in which each chunk of a file begins a block, and the entries of the table."""

    def __init__(self) -> None:
        super().__init__()
        self._described: list[tuple[_TocEntry, int]] = []
        self._blocks = 0

    def _put_content(self, entry: ListedEntry, content: Content, emit: Callable[[bytes], None]) -> None:
        """The content of a non-empty file; its last chunk shares a member with the headers that follow."""
        self._cut(emit)
        whole = hashlib.sha256()
        first = self._described[-1][0]
        kept: list[bytes] = []
        at = 0

        def put(chunk: bytes) -> None:
            nonlocal at
            whole.update(chunk)
            if entry.path in KEPT and entry.size <= KEPT_SIZE:
                kept.append(chunk)
            self._cut(emit)
            one = first if not at else _TocEntry(name=first.name, type="chunk")
            one.chunk_offset, one.chunk_digest = at, digests.of(chunk)
            # The last chunk, also the only one, has no size: it ends with the file.
            one.chunk_size = len(chunk) if at + len(chunk) < entry.size else 0
            if at:
                self._described.append((one, self._blocks))
            else:
                self._described[-1] = first, self._blocks
            self._put(chunk)
            at += len(chunk)

        copy_pieces(entry, content, _CHUNK, put)
        first.digest = f"sha256:{whole.hexdigest()}"
        if kept:
            self.texts[entry.path] = b"".join(kept)

    def add(self, entry: Entry, content: Content | None, emit: Callable[[bytes], None]) -> None:
        """See `TarBuilder.add`."""
        if entry.path == TOC_NAME:
            raise UnsupportedError(
                f"/{TOC_NAME} cannot be in an eStargz layer, whose table has that name",
                "remove the file, or choose compression=gzip",
            )
        self._described.append((_described(entry), -1))
        super().add(entry, content, emit)

    def _cut(self, emit: Callable[[bytes], None]) -> None:
        if self._filled:
            self._blocks += 1
        super()._cut(emit)

    def table(self, offsets: list[int]) -> bytes:
        """The table of contents, once the offset of each block in the blob is known."""
        for one, block in self._described:
            if block >= 0:
                one.offset = offsets[block]
        return msgspec.json.encode(_Toc(1, [one for one, _ in self._described]))


def _described(entry: Entry) -> _TocEntry:
    name = entry.path + ("/" if entry.kind == "directory" else "")
    stamp = datetime.fromtimestamp(entry.mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if entry.mtime else ""
    return _TocEntry(
        name=_text(name),
        type=_TYPES[entry.kind],
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        size=entry.size if entry.kind == "file" else 0,
        modtime=stamp,
        link_name=_text(entry.link),
        dev_major=entry.major,
        dev_minor=entry.minor,
        xattrs={_text(key): base64.b64encode(value).decode() for key, value in entry.xattrs},
    )


def _text(name: str) -> str:
    """A name for JSON. Bytes that are not UTF-8 are replaced, as by Go's encoder."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _as_tar(table: bytes) -> bytes:
    header = headers.encode(Entry(path=TOC_NAME, kind="file", mode=0o444, size=len(table)))
    return b"".join((header, table, headers.ZEROS[: -len(table) % headers.BLOCK], headers.END))


def _footer(toc: int) -> bytes:
    """An empty gzip member whose extra field has the offset of the table."""
    field = b"SG" + (22).to_bytes(2, "little") + b"%016xSTARGZ" % toc
    head = b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff" + len(field).to_bytes(2, "little")
    return head + field + b"\x01\x00\x00\xff\xff" + bytes(8)
