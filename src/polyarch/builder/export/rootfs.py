"""The root file systems of built images as plain files: in a directory, or as the members of a tar."""

import os
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from polyarch.builder.export.assemble import BuiltImage
from polyarch.contents.filesystem import Filesystems
from polyarch.contents.stack import on as stack_on
from polyarch.errors import PolyarchError
from polyarch.layers import longpaths
from polyarch.layers.entry import Content, Entry, Item, plain
from polyarch.oci.platform import Platform

_CHUNK = 1 << 20


class RootFilesystems:
    """The flattened file systems of the images of one build. It owns nothing.

    With `split`, each image is in a directory named after its platform. With an `epoch`, all files have that time.
    """

    def __init__(self, filesystems: Filesystems, images: Sequence[BuiltImage], split: bool, epoch: int | None) -> None:
        self._filesystems = filesystems
        self._images = images
        self._split = split
        self._epoch = epoch

    def write(self, directory: Path) -> None:
        """Write the files into a directory, which is created if it is missing. Raises PolyarchError."""
        for image in self._images:
            top = directory / _directory_name(image.platform) if self._split else directory
            top.mkdir(parents=True, exist_ok=True)
            for entry, content in self._entries(image):
                _write(top, entry, content)

    def items(self) -> Iterator[Item]:
        """The files as members of a tar."""
        for image in self._images:
            if not self._split:
                yield from self._entries(image)
                continue
            prefix = _directory_name(image.platform)
            yield Entry(path=prefix, kind="directory", mode=0o755), None
            for entry, content in self._entries(image):
                yield _below(prefix, entry), content

    def _entries(self, image: BuiltImage) -> Iterator[Item]:
        """The entries of one image, sorted, and the locations of their bytes."""
        tree = self._filesystems.tree(stack_on(None, image.layers))
        first: dict[tuple[int, str], str] = {}
        for node in tree.walk():
            if not node.entry.path:
                continue
            entry = plain(node.entry, mtime=node.entry.mtime if self._epoch is None else self._epoch)
            if entry.kind != "file":
                yield entry, None
                continue
            name = first.setdefault((node.layer, node.source.path), entry.path)
            if name != entry.path:
                yield plain(entry, kind="hardlink", link=name, size=0), None
            else:
                yield entry, self._filesystems.content(image.layers[node.layer], node.source)


def _directory_name(platform: Platform) -> str:
    return str(platform).replace("/", "_")


def _below(prefix: str, entry: Entry) -> Entry:
    link = posixpath.join(prefix, entry.link) if entry.kind == "hardlink" else entry.link
    return msgspec.structs.replace(entry, path=posixpath.join(prefix, entry.path), link=link)


def _write(top: Path, entry: Entry, content: Content | None) -> None:
    """Write one entry as a file that belongs to the calling user. Devices are left out."""
    path = os.path.join(top, entry.path)
    try:
        with longpaths.short(path) as near:
            _write_at(near, top, entry, content)
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
