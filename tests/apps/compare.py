"""What differs between two images of one Dockerfile: each path's kind, owner, mode and link, contents, config, history.

The contents of files are read as digests, since images here have hundreds of megabytes.
"""

import fnmatch
import functools
import gzip
import hashlib
import json
import posixpath
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.builds import differing

# Paths that differ in every build: logs with times, caches and lists of package managers.
VOLATILE = (
    "var/log/*",
    "var/cache/*",
    "var/lib/apt/lists/*",
    "etc/shadow*",
    "*/__pycache__/*",
    "*/node_modules/.package-lock.json",
)
_HARD, _DIRECTORY = "hard link", "directory"
_KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: _DIRECTORY,
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: _HARD,
    tarfile.FIFOTYPE: "fifo",
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
}


class Entry(NamedTuple):
    """One path. `what` is where a link leads, and otherwise the digest of a content."""

    kind: str
    mode: int
    owner: tuple[int, int]
    what: str
    xattrs: tuple[tuple[str, str], ...]

    def line(self, path: str, *, content: bool) -> str:
        shown = self.what if content or self.kind != "file" else ""
        attributes = "".join(f" {name}={value!r}" for name, value in self.xattrs)
        kind = f"{self.kind} {shown}".strip()
        return f"{self.mode:04o} {self.owner[0]}:{self.owner[1]} {path} ({kind}){attributes}"


class Image(NamedTuple):
    """An image of one platform in an image layout."""

    layout: Path
    digest: str

    @property
    def manifest(self) -> dict[str, Any]:
        return _document(self.layout, self.digest)

    @property
    def config(self) -> dict[str, Any]:
        return _document(self.layout, self.manifest["config"]["digest"])

    def tree(self, layers: int | None = None) -> dict[str, Entry]:
        """Every path of the image, or of its first layers, whiteouts applied. A hard link is what it leads to."""
        found: dict[str, Entry] = {}
        for blob in (self.manifest["layers"] or ())[:layers]:
            _apply(found, _layer(self.layout / "blobs/sha256" / blob["digest"].removeprefix("sha256:")))
        return found


def built(metadata: Path) -> str:
    """The digest of the image or index that a build wrote into its metadata file."""
    return str(json.loads(metadata.read_text())["containerimage.digest"])


def images(layout: Path, digest: str) -> dict[str, Image]:
    """The images of an index by their platforms."""
    document = _document(layout, digest)
    if "manifests" not in document:
        image = Image(layout, digest)
        parts = (image.config["os"], image.config["architecture"], image.config.get("variant"))
        return {"/".join(part for part in parts if part): image}
    return {
        platform: image
        for entry in document["manifests"]
        for platform, image in images(layout, entry["digest"]).items()
    }


def differences(ours: Image, theirs: Image, volatile: Sequence[str] = ()) -> Iterator[str]:
    """What differs: + is ours alone, - the other's alone."""
    yield from differing.settings(ours.config, theirs.config)
    yield from differing.lines("history", _history(ours), _history(theirs))
    yield from differing.lines("path", *(lines(image.tree(), volatile) for image in (ours, theirs)))


def drift(images: Mapping[str, Image]) -> Iterator[str]:
    """Paths that the images of two platforms have, but not with the same kind, owner and mode."""
    (one, ours), *others = images.items()
    tree = ours.tree()
    for other, image in others:
        for path, entry in image.tree().items():
            same = tree.get(path, entry)
            if (same.kind, same.mode, same.owner) != (entry.kind, entry.mode, entry.owner):
                yield f"{one} {same.line(path, content=False)}, {other} {entry.line(path, content=False)}"


def added(image: Image, volatile: Sequence[str] = ()) -> list[str]:
    """What an image has and its first layer, the base's, has not, in text."""
    base = set(lines(image.tree(1), volatile))
    return [line for line in lines(image.tree(), volatile) if line not in base]


def lines(tree: dict[str, Entry], volatile: Sequence[str] = ()) -> list[str]:
    """A tree in text, a line for each path."""
    patterns = (*VOLATILE, *volatile)
    return [
        entry.line(path, content=not any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns))
        for path, entry in sorted(tree.items())
    ]


def _history(image: Image) -> list[str]:
    return [
        ("- " if line.get("empty_layer") else "+ ") + line.get("created_by", "").replace("\n", "\\n")
        for line in image.config.get("history") or ()
    ]


def _document(layout: Path, digest: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes())
    return document


def _apply(found: dict[str, Entry], layer: dict[str, Entry]) -> None:
    for path in layer:
        directory, name = posixpath.split(path)
        if name == ".wh..wh..opq":
            _remove(found, directory, itself=False)
        elif name.startswith(".wh."):
            _remove(found, posixpath.join(directory, name.removeprefix(".wh.")))
    for path, entry in layer.items():
        if not posixpath.basename(path).startswith(".wh."):
            if entry.kind != _DIRECTORY and found.get(path, entry).kind == _DIRECTORY:
                _remove(found, path)
            found[path] = entry


def _remove(found: dict[str, Entry], path: str, *, itself: bool = True) -> None:
    below = path + "/" if path else ""
    for other in [other for other in found if other.startswith(below)]:
        del found[other]
    if itself:
        found.pop(path, None)


@functools.lru_cache(maxsize=64)
def _layer(path: Path) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    with open(path, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = gzip.GzipFile(fileobj=raw) if packed else raw
        with tarfile.open(fileobj=stream, mode="r|", encoding="utf-8", errors="surrogateescape") as tar:
            for member in tar:
                name = member.name.strip("/").removeprefix("./")
                entry = _entry(tar, member)
                if entry.kind == _HARD:
                    entry = found[member.linkname.strip("/").removeprefix("./")]
                found[name] = entry
    found.pop(".", None)
    found.pop("", None)
    return found


def _entry(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    kind = _KINDS[member.type]
    what = member.linkname
    if kind == "file":
        content = tar.extractfile(member)
        assert content is not None
        what = hashlib.file_digest(content, "sha256").hexdigest()[:12]
    prefix = "SCHILY.xattr."
    xattrs = sorted(
        (key.removeprefix(prefix), value) for key, value in member.pax_headers.items() if key.startswith(prefix)
    )
    return Entry(kind, member.mode & 0o7777, (member.uid, member.gid), what, tuple(xattrs))
