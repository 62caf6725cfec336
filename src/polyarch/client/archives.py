"""Where `save` writes an archive: a file that is complete or does not exist, or a stream; compressed or not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from polyarch.errors import NotFoundError

if TYPE_CHECKING:
    from polyarch.layers.pack import LayerSink

Compress = Literal["none", "gzip", "zstd"]
_ENDINGS: dict[str, Compress] = {".gz": "gzip", ".tgz": "gzip", ".zst": "zstd", ".tzst": "zstd"}


def by_ending(path: Path | None) -> Compress:
    """How an archive at `path` is compressed if the caller does not say."""
    return _ENDINGS.get(path.suffix, "none") if path is not None else "none"


@contextmanager
def archive_output(destination: Path | BinaryIO, kind: Compress) -> Iterator["LayerSink"]:
    """What an archive is written to: a file that is complete at the end of the `with`, and removed after an error.

    A stream is flushed and stays open. Raises NotFoundError if the directory of the file does not exist.
    """
    if not isinstance(destination, Path):
        with _compressed(destination, kind) as sink:
            yield sink
        if callable(flush := getattr(destination, "flush", None)):
            flush()
        return
    # Pipes and devices are written to directly.
    regular = not destination.exists() or destination.is_file()
    # The random suffix keeps concurrent saves apart, and prevents others from planting a symlink at a known name.
    temporary = f".{destination.name}.{os.getpid()}-{os.urandom(4).hex()}"
    partial = destination.with_name(temporary) if regular else destination
    try:
        with _opened(partial, "xb" if regular else "wb") as file, _compressed(file, kind) as sink:
            yield sink
        if regular:
            partial.rename(destination)
    except BaseException:
        if regular:
            partial.unlink(missing_ok=True)
        raise


@contextmanager
def _compressed(file: BinaryIO, kind: Compress) -> Iterator["LayerSink"]:
    if kind == "none":
        yield file
        return
    from polyarch.layers.compression import Compression
    from polyarch.transfer import tarball

    compressing = tarball.Compressing(file, Compression(kind=kind))
    yield compressing
    compressing.finish()


def _opened(path: Path, mode: Literal["xb", "wb"]) -> BinaryIO:
    try:
        return open(path, mode)
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no directory {path.parent.absolute()}", "create it, or name another file"
        ) from None
