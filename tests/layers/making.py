"""Layers for tests as literals: short functions for entries, and for packing, reading and applying them."""

import io
from collections.abc import Callable, Iterable
from pathlib import Path

from polyarch.layers import headers
from polyarch.layers.apply import Applied, apply
from polyarch.layers.compression import Compression
from polyarch.layers.content import read_whole
from polyarch.layers.diskform import PLAIN, DiskForm
from polyarch.layers.entry import Entry, Item
from polyarch.layers.listing import Listing, scan
from polyarch.layers.pack import Packed, pack
from polyarch.layers.reader import members
from polyarch.layers.tree import Tree


def directory(path: str, mode: int = 0o755, uid: int = 0, gid: int = 0, mtime: int = 1) -> Item:
    return Entry(path=path, kind="directory", mode=mode, uid=uid, gid=gid, mtime=mtime), None


def file(path: str, content: bytes = b"", mode: int = 0o644, **fields: object) -> Item:
    return Entry(path=path, kind="file", mode=mode, size=len(content), **fields), content  # type: ignore[arg-type]


def symlink(path: str, text: str) -> Item:
    return Entry(path=path, kind="symlink", mode=0o777, link=text), None


def hardlink(path: str, target: str) -> Item:
    return Entry(path=path, kind="hardlink", mode=0o644, link=target), None


def device(path: str, major: int, minor: int) -> Item:
    return Entry(path=path, kind="character", mode=0o600, major=major, minor=minor), None


def tar(*items: Item) -> bytes:
    """A tar of whatever is given, also of what `pack` would refuse."""
    parts: list[bytes] = []
    for entry, content in items:
        data = read_whole(entry, content) if content is not None and entry.kind == "file" else b""
        parts += headers.encode(entry), data, bytes(-len(data) % headers.BLOCK)
    return b"".join((*parts, headers.END))


def packed(
    items: Iterable[Item], kind: str = "gzip", workers: int = 2, known: Callable[[bytes], bytes | None] | None = None
) -> tuple[Packed, bytes]:
    output = io.BytesIO()
    made = pack(items, output, Compression(kind), workers, known)  # type: ignore[arg-type]
    return made, output.getvalue()


def listing(*items: Item) -> Listing:
    return scan(io.BytesIO(tar(*items)))[1]


def tree(*layers: Iterable[Item]) -> Tree:
    return Tree([listing(*items) for items in layers])


def read_back(raw: bytes) -> list[tuple[Entry, bytes]]:
    return [(entry, content.read()) for entry, content in members(io.BytesIO(raw))]


def unpack(directory: Path, *items: Item, form: DiskForm = PLAIN, raw: bytes | None = None, **more: object) -> Applied:
    directory.mkdir(exist_ok=True)
    return apply(io.BytesIO(tar(*items) if raw is None else raw), str(directory), form, **more)  # type: ignore[arg-type]
