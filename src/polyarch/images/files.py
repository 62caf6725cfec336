"""`cp` and `export`: the files of an image, taken from its layers without running it."""

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

import msgspec

from polyarch import progress
from polyarch.contents import plainfiles
from polyarch.contents.filesystem import Filesystems
from polyarch.contents.layer import Layer, layers_of
from polyarch.contents.stack import on as stack_on
from polyarch.contents.unpack import Unpacker
from polyarch.errors import ConflictError, NotFoundError
from polyarch.layers.entry import Entry, Item
from polyarch.transfer.choose import ChosenImage
from polyarch.transfer.read_through import ReadThroughSource

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.store import Store


class ImageFiles:
    """The flattened file system of one image. Opened by `opened`, which closes it."""

    def __init__(self, filesystems: Filesystems, image: ChosenImage, name: str) -> None:
        self._filesystems = filesystems
        self._layers = [
            Layer(diff_id=layer.diff_id, blob=layer.blob) for layer in layers_of(image.manifest, image.config)
        ]
        self._tree = filesystems.tree(stack_on(None, self._layers))
        self._name = name

    @classmethod
    @contextmanager
    def opened(
        cls, store: "Store", registry: "Registry", image: ChosenImage, name: str, emit: progress.Emit
    ) -> Iterator[Self]:
        """The files of `image`, which messages call `name`. Layers that were never downloaded are fetched."""
        source = ReadThroughSource(store, registry)
        with store.temporary() as scratch:
            filesystems = Filesystems(store, source, Unpacker(store, source, emit), scratch)
            try:
                yield cls(filesystems, image, name)
            finally:
                filesystems.close()

    def export(self) -> Iterator[Item]:
        """Everything, as members of a tar."""
        return plainfiles.items(self._filesystems, self._tree, self._layers)

    def members(self, path: str, *, follow: bool = False) -> Iterator[Item]:
        """What is at `path`, as members of a tar that begin with its last name, or with `.` if it ends in `/.`.

        Links on the way are followed, at the end only with `follow`. Raises NotFoundError.
        """
        place, content_only = self._find(path, follow=follow)
        name = "." if content_only or not place else posixpath.basename(path.rstrip("/"))
        yield from self._renamed(place, name)

    def copy(self, path: str, target: Path, *, follow: bool = False, owner: bool = False) -> None:
        """Copy what is at `path` to `target` by docker's rules, which are those of `cp -R`.

        The files belong to the calling user, unless `owner`. Raises NotFoundError, ConflictError, PolyarchError.
        """
        place, content_only = self._find(path, follow=follow)
        node = self._tree.lookup(place)
        is_directory = node is not None and node.entry.kind == "directory"
        name = posixpath.basename(path.rstrip("/")) or "."
        if target.is_dir():
            top, first = (target, ".") if content_only or not place else (target, name)
        elif is_directory and target.exists():
            raise ConflictError(f"cannot copy the directory {path} to {target}: it is a file")
        elif not target.parent.is_dir():
            raise NotFoundError(f"cannot copy to {target}: there is no directory {target.parent}", "create it first")
        else:
            top, first = target.parent, target.name
        if (top / first).is_dir() and not is_directory:
            raise ConflictError(f"cannot copy {path} to {top / first}: it is a directory")
        for entry, content in self._renamed(place, first):
            plainfiles.write(top, entry, content, owner=owner)

    def _find(self, path: str, *, follow: bool) -> tuple[str, bool]:
        """The place of `path` in the tree, and whether it ends in `/.`, so that only the content is meant."""
        content_only = path.endswith("/.") or path in ("", ".", "/")
        place = self._tree.resolve(path.strip("/") or ".", follow_last=follow or path.endswith(("/", "/.")))
        place = "" if place == "." else place
        node = self._tree.lookup(place)
        if node is None:
            raise NotFoundError(
                f"there is no {'/' + path.strip('/')} in {self._name}", "paths begin at the image's root"
            )
        if path.endswith(("/", "/.")) and node.entry.kind != "directory":
            raise NotFoundError(f"{path} of {self._name} is not a directory")
        return place, content_only

    def _renamed(self, place: str, name: str) -> Iterator[Item]:
        """The entries at `place` and below, with `name` instead of `place`."""
        for entry, content in plainfiles.items(self._filesystems, self._tree, self._layers, path=place):
            link = _moved(entry.link, place, name) if entry.kind == "hardlink" else entry.link
            yield _entry(entry, _moved(entry.path, place, name), link), content


def _moved(path: str, place: str, name: str) -> str:
    rest = path[len(place) :].lstrip("/") if place else path
    return posixpath.normpath(posixpath.join(name, rest)) if rest else name


def _entry(entry: Entry, path: str, link: str) -> Entry:
    return msgspec.structs.replace(entry, path=path, link=link)


def write_tar(file: BinaryIO, members: Iterator[Item]) -> None:
    """Write the members as a tar."""
    from polyarch.layers.pack import tar_stream

    file.writelines(tar_stream(members))
    file.flush()
