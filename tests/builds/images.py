"""A built image as another program reads it: Python's json, gzip and tarfile, and nothing of the builder."""

import gzip
import hashlib
import json
import posixpath
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

from tests.builds.cases import escaped

_SHOWN = 120


KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.FIFOTYPE: "fifo",
    tarfile.CHRTYPE: "character",
    tarfile.BLKTYPE: "block",
}


class File(NamedTuple):
    """One path of an image."""

    kind: str
    mode: int
    owner: tuple[int, int]
    mtime: int
    content: bytes = b""
    link: str = ""
    xattrs: tuple[tuple[str, str], ...] = ()

    def line(self, path: str, *, times: bool = False) -> str:
        """As the cases write it."""
        shown = escaped(path) + ("/" if self.kind == "directory" else "")
        text = f"{self.mode:04o} {self.owner[0]}:{self.owner[1]} {shown}"
        if self.kind == "symlink":
            text += f" -> {escaped(self.link)}"
        elif self.kind == "hardlink":
            text += f" == {escaped(self.link)}"
        elif self.kind == "file":
            digest = hashlib.sha256(self.content).hexdigest()[:12]
            shown = _readable(self.content) if len(self.content) <= _SHOWN else ""
            if self.content:
                text += f" = {shown}" if 0 < len(shown) <= _SHOWN else f" = sha256:{digest}"
        elif self.kind != "directory":
            text += f" ({self.kind})"
        return f"{text} @{self.mtime}" if times else text


class Image:
    """The image of one platform in the layout of a store. `layers` are its layers' entries, in the order of the tar."""

    def __init__(self, layout: Path, digest: str) -> None:
        self._layout = layout
        self.digest = digest
        self.manifest: dict[str, Any] = json.loads(self._blob(digest))
        self.config: dict[str, Any] = json.loads(self._blob(self.manifest["config"]["digest"]))
        # BuildKit writes null where there are none.
        digests = [blob["digest"] for blob in self.manifest["layers"] or ()]
        self.layers = [self._layer(digest) for digest in digests]
        diff_ids = [hashlib.sha256(gzip.decompress(self._blob(digest))).hexdigest() for digest in digests]
        assert (self.config["rootfs"]["diff_ids"] or []) == [f"sha256:{digest}" for digest in diff_ids]

    def files(self) -> dict[str, File]:
        """The flattened image: whiteouts applied, hard links as what they are."""
        found: dict[str, File] = {}
        for layer in self.layers:
            for path in layer:
                name = posixpath.basename(path)
                if name == ".wh..wh..opq":
                    _remove(found, posixpath.dirname(path), itself=False)
                elif name.startswith(".wh."):
                    _remove(found, posixpath.join(posixpath.dirname(path), name.removeprefix(".wh.")))
            for path, file in layer.items():
                if posixpath.basename(path).startswith(".wh."):
                    continue
                if file.kind != "directory":
                    _remove(found, path)
                found[path] = file
        return dict(sorted(found.items()))

    def history(self) -> list[str]:
        """Each line with + where it made a layer, - where it did not."""
        return [
            ("- " if h.get("empty_layer") else "+ ") + h.get("created_by", "").replace("\n", "\\n")
            for h in self.config.get("history") or ()
        ]

    def _blob(self, digest: str) -> bytes:
        raw = (self._layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()
        assert f"sha256:{hashlib.sha256(raw).hexdigest()}" == digest
        return raw

    def _layer(self, digest: str) -> dict[str, File]:
        found: dict[str, File] = {}
        path = self._layout / "blobs/sha256" / digest.removeprefix("sha256:")
        with tarfile.open(path, encoding="utf-8", errors="surrogateescape") as tar:
            for member in tar:
                found[member.name.strip("/")] = _file(tar, member)
        return found


def _file(tar: tarfile.TarFile, member: tarfile.TarInfo) -> File:
    kind = KINDS[member.type]
    reader = tar.extractfile(member) if kind == "file" else None
    prefix = "SCHILY.xattr."
    xattrs = tuple(
        (name.removeprefix(prefix), value)
        for name, value in sorted(member.pax_headers.items())
        if name.startswith(prefix)
    )
    content = reader.read() if reader is not None else b""
    owner = (member.uid, member.gid)
    return File(kind, member.mode & 0o7777, owner, int(member.mtime), content, member.linkname, xattrs)


def _remove(found: dict[str, File], path: str, *, itself: bool = True) -> None:
    for other in [other for other in found if other.startswith(path + "/" if path else "")]:
        del found[other]
    if itself:
        found.pop(path, None)


def _readable(content: bytes) -> str:
    text = content.decode("utf-8", "surrogateescape")
    return escaped(text).replace("\\s", " ")
