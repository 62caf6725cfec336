"""The flattened file system of an image as plain files: entries of a tree, and files in a directory."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from polyarch.contents.filesystem import Filesystems
from polyarch.contents.layer import Layer
from polyarch.errors import PolyarchError
from polyarch.layers import longpaths
from polyarch.layers.entry import Content, Entry, Item, plain
from polyarch.layers.tree import Flattened

_CHUNK = 1 << 20


def items(
    filesystems: Filesystems, tree: Flattened, layers: Sequence[Layer], *, path: str = "", epoch: int | None = None
) -> Iterator[Item]:
    """The entries of `tree` at `path` and below, sorted, without the root, and where their bytes are.

    A further name of a file is a hard link to the first. With an `epoch`, all have that time.
    """
    first: dict[tuple[int, str], str] = {}
    for node in tree.walk(path):
        if not node.entry.path:
            continue
        entry = plain(node.entry, mtime=node.entry.mtime if epoch is None else epoch)
        if entry.kind != "file":
            yield entry, None
            continue
        name = first.setdefault((node.layer, node.source.path), entry.path)
        if name != entry.path:
            yield plain(entry, kind="hardlink", link=name, size=0), None
        else:
            yield entry, filesystems.content(layers[node.layer], node.source)


def write(top: Path, entry: Entry, content: Content | None, *, owner: bool = False) -> None:
    """Write one entry below `top`. It belongs to the calling user, unless `owner`. Devices are left out.

    Raises PolyarchError.
    """
    path = os.path.join(top, entry.path)
    try:
        with longpaths.short(path) as near:
            _write_at(near, top, entry, content)
            if owner and os.path.lexists(near):
                os.chown(near, entry.uid, entry.gid, follow_symlinks=False)
                if entry.kind == "file":
                    os.chmod(near, entry.mode & 0o7777)
    except OSError as error:
        raise PolyarchError(f"cannot write {longpaths.shown(path)}: {error.strerror or error}") from error


def _write_at(path: str, top: Path, entry: Entry, content: Content | None) -> None:
    if entry.kind == "directory":
        os.makedirs(path, exist_ok=True)
        os.chmod(path, entry.mode | 0o700)
        return
    if os.path.lexists(path):
        os.unlink(path)
    if entry.kind == "symlink":
        os.symlink(entry.link, path)
    elif entry.kind == "hardlink":
        with longpaths.short(os.path.join(top, entry.link)) as target:
            os.link(target, path, follow_symlinks=False)
    elif entry.kind == "file" and content is not None:
        with open(path, "xb") as file:
            _fill(file, content)
        os.chmod(path, entry.mode & 0o7777)
        os.utime(path, (entry.mtime, entry.mtime))
    elif entry.kind == "fifo":
        os.mkfifo(path, entry.mode)


def _fill(file: BinaryIO, content: Content) -> None:
    if isinstance(content, bytes):
        file.write(content)
    elif callable(content):
        with content() as reader:
            while chunk := reader.read(_CHUNK):
                file.write(chunk)
    else:
        import shutil

        with open(content if isinstance(content, str) else content.path, "rb") as source:
            shutil.copyfileobj(source, file, _CHUNK)
