"""The root file systems of built images as plain files: in a directory, or as the members of a tar."""

import hashlib
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from polyarch.builder.export.assemble import BuiltImage
from polyarch.contents.filesystem import Filesystems
from polyarch.contents.stack import on as stack_on
from polyarch.errors import ConflictError, PolyarchError
from polyarch.layers import longpaths
from polyarch.layers.content import open_content
from polyarch.layers.entry import Content, Entry, Item, plain
from polyarch.layers.tree import Tree
from polyarch.oci.platform import Platform

if TYPE_CHECKING:
    from polyarch.builder.attestations.prepared import Prepared

_CHUNK = 1 << 20


class StatementFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Attestations that become files: the predicates of each platform, the beginning of the names, the time of the
    files in seconds.
    """

    predicates: "Mapping[Platform, Sequence[Prepared]]" = {}
    prefix: str = ""
    time: int = 0


class RootFilesystems:
    """The flattened file systems of the images of one build. It owns nothing.

    With `split`, each image is in a directory named after its platform. With an `epoch`, all files have that time.
    Beside the files of an image are its `statements`.
    """

    def __init__(
        self,
        filesystems: Filesystems,
        images: Sequence[BuiltImage],
        split: bool,
        epoch: int | None,
        statements: StatementFiles | None = None,
    ) -> None:
        self._filesystems = filesystems
        self._images = images
        self._split = split
        self._epoch = epoch
        self._statements = statements or StatementFiles()

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
        """The entries of one image, sorted, and the locations of their bytes; then those of its statements."""
        tree = self._filesystems.tree(stack_on(None, image.layers))
        statements = self._statements.predicates.get(image.platform, ())
        if not statements:
            yield from self._of_tree(tree, image)
            return
        from polyarch.attest.statement import Subject
        from polyarch.builder.attestations import prepared

        suffix = _directory_name(image.platform) if len(self._images) > 1 and not self._split else ""
        for name in prepared.names(statements, self._statements.prefix, suffix):
            if tree.lookup(name) is not None:
                raise ConflictError(
                    f"the image has a file /{name}, and an attestation has the same name",
                    "give the attestations other names with -o …,attestation-prefix=PREFIX",
                )
        about: list[Subject] = []
        digests: dict[str, dict[str, str]] = {}
        for entry, content in self._of_tree(tree, image):
            if content is not None:
                digests[entry.path] = {"sha256": _sha256(entry, content)}
            if (digest := digests.get(entry.link if entry.kind == "hardlink" else entry.path)) is not None:
                about.append(Subject(entry.path, digest))
            yield entry, content
        for name, raw in prepared.files(statements, tuple(about), self._statements.prefix, suffix):
            time = self._statements.time if self._epoch is None else self._epoch
            yield Entry(path=name, kind="file", mode=0o600, size=len(raw), mtime=time), raw

    def _of_tree(self, tree: Tree, image: BuiltImage) -> Iterator[Item]:
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


def _sha256(entry: Entry, content: Content) -> str:
    with open_content(entry, content) as reader:
        found = hashlib.sha256()
        while chunk := reader.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


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
