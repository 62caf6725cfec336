"""Python's readers: prints the tar, or with `tar` the sum of its files. streams.py READER PATH"""

import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _gzip_file(path: str) -> bytes:
    import gzip

    with gzip.open(path) as file:
        return file.read()


def _zlib(path: str) -> bytes:
    return zlib.decompressobj(31).decompress(_raw(path))


def _module(name: str, method: str, *more: Any) -> Callable[[str], bytes]:
    def read(path: str) -> bytes:
        import importlib

        return bytes(getattr(importlib.import_module(name), method)(_raw(path), *more))

    return read


def _file(name: str, method: str) -> Callable[[str], bytes]:
    def read(path: str) -> bytes:
        import importlib

        with getattr(importlib.import_module(name), method)(path, "rb") as file:
            return bytes(file.read())

    return read


def _deflate(path: str) -> bytes:
    import deflate

    # Its own reading of the size, at the end of the file.
    return bytes(deflate.gzip_decompress(_raw(path)))


def _zstandard(method: str) -> Callable[[str], bytes]:
    def read(path: str) -> bytes:
        import io

        import zstandard

        inflater = zstandard.ZstdDecompressor()
        if method == "decompress":
            return inflater.decompress(_raw(path))
        if method == "decompressobj":
            return inflater.decompressobj().decompress(_raw(path))
        if method == "read_to_iter":
            return b"".join(inflater.read_to_iter(io.BytesIO(_raw(path))))
        return inflater.stream_reader(io.BytesIO(_raw(path))).read()

    return read


READERS: dict[str, Callable[[str], bytes]] = {
    "gzip.open": _gzip_file,
    "gzip.decompress": _module("gzip", "decompress"),
    "zlib.decompressobj": _zlib,
    "isal.igzip": _file("isal.igzip", "open"),
    "deflate": _deflate,
    "zlib_ng": _file("zlib_ng.gzip_ng", "open"),
    "pgzip": _file("pgzip", "open"),
    "mgzip": _file("mgzip", "open"),
    "cramjam.gzip": lambda path: bytes(__import__("cramjam").gzip.decompress(_raw(path))),
    "cramjam.zstd": lambda path: bytes(__import__("cramjam").zstd.decompress(_raw(path))),
    "indexed_gzip": lambda path: bytes(__import__("indexed_gzip").IndexedGzipFile(path).read()),
    "rapidgzip": lambda path: bytes(__import__("rapidgzip").open(path).read()),
    "backports.zstd": _module("backports.zstd", "decompress"),
    "pyzstd": _module("pyzstd", "decompress"),
    "zstd": _module("zstd", "decompress"),
    "zstandard.decompress": _zstandard("decompress"),
    "zstandard.decompressobj": _zstandard("decompressobj"),
    "zstandard.read_to_iter": _zstandard("read_to_iter"),
    "zstandard.stream_reader": _zstandard("stream_reader"),
}


def _raw(path: str) -> bytes:
    return Path(path).read_bytes()


def _sum(path: str, mode: str) -> str:
    """How many regular files a tar has, their bytes, and the sum of their CRC-32."""
    import tarfile

    if mode == "r|zst":
        from backports.zstd import tarfile  # type: ignore[no-redef]
    count = size = total = 0
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for member in archive:
            if member.isreg():
                content = archive.extractfile(member).read()
                count, size, total = count + 1, size + len(content), total + zlib.crc32(content)
    return f"{count} {size} {total % (1 << 32)}"


if __name__ == "__main__":
    _, reader, path = sys.argv
    if reader.startswith(("r|", "r:")):
        print(_sum(path, reader))
    else:
        sys.stdout.buffer.write(READERS[reader](path))
