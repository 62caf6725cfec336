"""Compress the tar of a layer again, in blocks. Its diff id stays the same."""

import msgspec

from polyarch.layers.compression import Compression
from polyarch.layers.pack import BLOCK_SIZE, Blocks, LayerSink
from polyarch.oci.digest import Digest
from polyarch.oci.place import Readable


class Recompressed(msgspec.Struct, frozen=True, kw_only=True):
    """The result: the digest of the tar, the digest of the blob, the size of the blob in bytes, and its media type."""

    diff_id: Digest
    digest: Digest
    size: int
    media_type: str


def recompress(tar: Readable, output: LayerSink, compression: Compression, workers: int = 2) -> Recompressed:
    """Write the uncompressed `tar` to `output`, cut every 1 MiB and compressed by `workers` threads.

    The caller compares the diff id with the one that it expects. Raises what reading `tar` raises.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max(1, workers), "recompress") as pool:
        blocks = Blocks(output, compression, pool, max(1, workers), None)
        try:
            while block := _filled(tar):
                blocks.add(block)
            blocks.finish()
        except BaseException:
            blocks.cancel()
            raise
    return Recompressed(
        diff_id=Digest(f"sha256:{blocks.plain.hexdigest()}"),
        digest=Digest(f"sha256:{blocks.blob.hexdigest()}"),
        size=blocks.written,
        media_type=compression.media_type(),
    )


def _filled(tar: Readable) -> bytes:
    """A whole block. Where it ends must not depend on the pieces that `tar` returns."""
    parts: list[bytes] = []
    missing = BLOCK_SIZE
    while missing and (chunk := tar.read(missing)):
        parts.append(chunk)
        missing -= len(chunk)
    return parts[0] if len(parts) == 1 else b"".join(parts)
