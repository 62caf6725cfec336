"""Where an archive is written to: a file that is whole or absent, or a stream; compressed where that is wanted."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from polyarch.errors import NotFoundError

if TYPE_CHECKING:
    from polyarch.layers.pack import LayerSink
    from polyarch.transfer.tarball import Compressing

Compress = Literal["none", "gzip", "zstd"]
_ENDINGS: dict[str, Compress] = {".gz": "gzip", ".tgz": "gzip", ".zst": "zstd", ".tzst": "zstd"}


def by_ending(path: Path | None) -> Compress:
    """How an archive at `path` is compressed where nothing else is said."""
    return _ENDINGS.get(path.suffix, "none") if path is not None else "none"


class ArchiveOutput:
    """The file at a path, or a stream, for `with`. It owns the file; a stream is flushed and stays open."""

    def __init__(self, destination: Path | BinaryIO, kind: Compress) -> None:
        self._path = destination if isinstance(destination, Path) else None
        # A pipe or a device is written to as it is.
        whole = self._path is not None and (not self._path.exists() or self._path.is_file())
        # The random suffix keeps concurrent saves apart and stops anyone planting a symlink at a predictable name.
        beside = f".{self._path.name}.{os.getpid()}-{os.urandom(4).hex()}" if self._path else ""
        self._partial = self._path.with_name(beside) if whole and self._path else self._path
        self._kind = kind
        self._stream = None if isinstance(destination, Path) else destination
        self._file: BinaryIO | None = self._stream
        self._compressing: Compressing | None = None

    def __enter__(self) -> "LayerSink":
        if self._partial is not None:
            self._file = self._opened(self._partial)
        assert self._file is not None
        if self._kind == "none":
            return self._file
        from polyarch.layers.compression import Compression
        from polyarch.transfer import tarball

        self._compressing = tarball.Compressing(self._file, Compression(kind=self._kind))
        return self._compressing

    def _opened(self, path: Path) -> BinaryIO:
        try:
            return open(path, "wb" if path == self._path else "xb")
        except FileNotFoundError:
            raise NotFoundError(
                f"there is no directory {path.parent.absolute()}", "make it, or name another file"
            ) from None

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        assert self._file is not None
        if error is None and self._compressing is not None:
            self._compressing.finish()
        if self._path is None or self._partial is None:
            if callable(flush := getattr(self._file, "flush", None)):
                flush()
            return
        self._file.close()
        if self._partial == self._path:
            return
        if error is None:
            self._partial.rename(self._path)
        else:
            self._partial.unlink(missing_ok=True)
