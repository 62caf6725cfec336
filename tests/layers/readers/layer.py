"""A real layer of more than 20,000 entries: the small files of a Debian root, four times."""

import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from polyarch.layers.compression import Compression, Kind
from polyarch.layers.entry import Item, clean
from polyarch.layers.listing import Listing
from polyarch.layers.pack import pack, tar_size, tar_stream
from polyarch.layers.reader import members
from polyarch.oci.descriptor import Descriptor

_COPIES = "abcd"
# Files up to this size keep the layer near 100 MB.
_LARGEST = 32 << 10


class RealLayer(msgspec.Struct, frozen=True):
    """The layer as files of a directory, and what a reader must find in it, by the names of `readers.Output`."""

    blobs: dict[str, Path]
    descriptors: dict[str, Descriptor]
    listing: Listing
    expected: dict[str, str]


def make(debian: Path, directory: Path) -> RealLayer:
    """Pack the layer in each compression into `directory`."""
    items = list(_items(debian))
    plain = hashlib.sha256()
    for piece in tar_stream(items):
        plain.update(piece)
    contents = [content for entry, content in items if entry.kind == "file" and isinstance(content, bytes)]
    total = sum(map(zlib.crc32, contents)) % (1 << 32)
    blobs: dict[str, Path] = {}
    descriptors: dict[str, Descriptor] = {}
    kinds: dict[Kind, str] = {"gzip": "tar.gz", "zstd": "tar.zst"}
    for kind, ending in kinds.items():
        blobs[kind] = directory / f"layer.{ending}"
        with blobs[kind].open("wb") as file:
            made = pack(items, file, Compression(kind), size=tar_size(entry for entry, _ in items))
        assert made.diff_id == f"sha256:{plain.hexdigest()}"
        descriptors[kind] = made.descriptor()
    expected = {
        "tar": plain.hexdigest(),
        "files": f"{len(contents)} {sum(map(len, contents))} {total}",
        "count": str(sum(entry.kind in ("file", "symlink") for entry, _ in items)),
    }
    return RealLayer(blobs, descriptors, made.listing, expected)


def _items(debian: Path) -> Iterator[Item]:
    for copy in _COPIES:
        with debian.open("rb") as file:
            for entry, content in members(file):
                if entry.kind in ("directory", "symlink") or (entry.kind == "file" and entry.size <= _LARGEST):
                    path = clean(f"{copy}/{entry.path}")
                    yield (
                        msgspec.structs.replace(entry, path=path),
                        content.read() if entry.kind == "file" else None,
                    )
