"""The root file systems of built images as plain files: in a directory, or as the members of a tar."""

import hashlib
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from polyarch.builder.export.assemble import BuiltImage
from polyarch.contents import plainfiles
from polyarch.contents.filesystem import Filesystems
from polyarch.contents.stack import on as stack_on
from polyarch.errors import CancelledError, ConflictError
from polyarch.layers.content import open_content
from polyarch.layers.entry import Content, Entry, Item
from polyarch.layers.tree import Flattened
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

    With `split`, each image is in a directory named after its platform. Reading the entries ends with CancelledError
    when `stopped` returns True. With an `epoch`, all files have that time.
    Beside the files of an image are its `statements`.
    """

    def __init__(
        self,
        filesystems: Filesystems,
        images: Sequence[BuiltImage],
        split: bool,
        stopped: Callable[[], bool],
        epoch: int | None,
        statements: StatementFiles | None = None,
    ) -> None:
        self._filesystems = filesystems
        self._images = images
        self._split = split
        self._stopped = stopped
        self._epoch = epoch
        self._statements = statements or StatementFiles()

    def write(self, directory: Path) -> None:
        """Write the files into a directory, which is created if it is missing. Raises PolyarchError."""
        for image in self._images:
            top = directory / _directory_name(image.platform) if self._split else directory
            top.mkdir(parents=True, exist_ok=True)
            for entry, content in self._entries(image):
                plainfiles.write(top, entry, content)

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

    def _of_tree(self, tree: Flattened, image: BuiltImage) -> Iterator[Item]:
        for item in plainfiles.items(self._filesystems, tree, image.layers, epoch=self._epoch):
            if self._stopped():
                raise CancelledError
            yield item


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
