"""Java: the libraries in jars, from Maven's pom.properties and the manifest, also of jars inside wars and fat jars.

Every size comes from the archive, which may lie, so each read has a limit, and all of them together have one.
"""

import io
import re
import struct
import tempfile
import zipfile
import zlib
from typing import IO, BinaryIO, NamedTuple

from polyarch.contents.inventory import fields, java_names
from polyarch.contents.inventory.component import Component, InventoryFile
from polyarch.contents.inventory.java_names import JarManifest

# Other things are called .rar or .far, too.
_CERTAIN = (".jar", ".war", ".ear", ".jpi", ".hpi")
_POM = re.compile(r"(?:.*/)?[^/]*pom\.properties", re.DOTALL)
_MANIFEST = "META-INF/MANIFEST.MF"

_DEEPEST = 4
_MOST_ARCHIVES = 4096
_LARGEST_DIRECTORY = 16 << 20
_LARGEST_TEXT = 1 << 20
_LARGEST_CONTENTS = 1 << 30
_IN_MEMORY = 16 << 20
_PIECE = 1 << 20

_END = b"PK\5\6"
_FAILURES = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError, struct.error, OverflowError)


def read(path: str, file: BinaryIO) -> InventoryFile:
    """The libraries in an archive, and in the archives inside."""
    reader = _ArchiveReader()
    reader.read(path.rpartition("/")[2], file, 0)
    return InventoryFile(tuple(dict.fromkeys(reader.found)), notes=tuple(reader.notes))


class _Pom(NamedTuple):
    """A pom.properties: the names of a library in a repository of Maven."""

    group: str
    artifact: str
    version: str


class _ArchiveReader:
    """Reads one archive and those inside it. It owns the limits that they share."""

    def __init__(self) -> None:
        self.found: list[Component] = []
        self.notes: list[str] = []
        self._left = _LARGEST_CONTENTS
        self._archives = 0

    def read(self, name: str, file: IO[bytes], depth: int) -> None:
        """Add what is in the archive `name`."""
        try:
            problem = _refusal(file)
            if problem is None:
                with zipfile.ZipFile(file) as archive:
                    self._packages(name, archive)
                    self._inner(name, archive, depth)
            elif depth or name.endswith(_CERTAIN):
                self._note(depth, name, problem)
        except _FAILURES as error:
            self._note(depth, name, f"it cannot be read as a zip file: {error}")

    def _note(self, depth: int, name: str, problem: str) -> None:
        self.notes.append(f"{name} in it: {problem}" if depth else problem)

    def _packages(self, name: str, archive: zipfile.ZipFile) -> None:
        poms: list[_Pom] = []
        manifest: JarManifest | None = None
        for info in sorted(archive.infolist(), key=lambda one: one.filename):
            called = info.filename.lstrip("/")
            if called == _MANIFEST:
                manifest = java_names.parse_manifest(self._text(archive, info))
            elif _POM.fullmatch(called):
                values = java_names.parse_properties(self._text(archive, info))
                pom = _Pom(*(values.get(key, "") for key in ("groupId", "artifactId", "version")))
                if pom.artifact and pom.version:
                    poms.append(pom)
        main = None
        if manifest is not None and not manifest.first("Weave-Classes"):
            main, poms = _main_package(name, manifest, poms)
        self.found += [main] if main is not None else []
        self.found += [
            Component(ecosystem="maven", group=pom.group, name=pom.artifact, version=pom.version) for pom in poms
        ]

    def _inner(self, name: str, archive: zipfile.ZipFile, depth: int) -> None:
        inner = [info for info in archive.infolist() if java_names.is_archive(info.filename) and not info.is_dir()]
        for number, info in enumerate(sorted(inner, key=lambda one: one.filename)):
            self._archives += 1
            if depth == _DEEPEST or self._archives > _MOST_ARCHIVES or info.file_size > self._left:
                self._note(
                    depth, name, f"{len(inner) - number} archives in it are not read: they are too deep or too large"
                )
                return
            with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
                self._copy(archive, info, file)
                self.read(info.filename.rpartition("/")[2], file, depth + 1)

    def _copy(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: IO[bytes]) -> None:
        left = min(info.file_size, self._left)
        with _opened(archive, info) as source:
            while left > 0 and (piece := source.read(min(_PIECE, left))):
                target.write(piece)
                left -= len(piece)
                self._left -= len(piece)

    def _text(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
        if info.file_size > _LARGEST_TEXT:
            raise ValueError(f"{info.filename} has {info.file_size} bytes")
        with _opened(archive, info) as source:
            return fields.text(source.read(_LARGEST_TEXT))[0]


def _opened(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    # What other methods need to inflate is not bounded, and jars have none of them.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is compressed with method {info.compress_type}, which jars do not use")
    return archive.open(info)


def _refusal(file: IO[bytes]) -> str | None:
    """Why a file is not opened. The whole directory of a zip file is read into memory when it is opened."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - (1 << 16) - 22))
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or at + 20 > len(tail):
        return "it is not a zip file, or it is cut off"
    (directory,) = struct.unpack_from("<I", tail, at + 12)
    if directory > _LARGEST_DIRECTORY:
        return f"its directory has {directory} bytes, more than the {_LARGEST_DIRECTORY} that are read"
    file.seek(0)
    return None


def _main_package(name: str, manifest: JarManifest, poms: list[_Pom]) -> tuple[Component | None, list[_Pom]]:
    """The package that the archive itself is, and the poms of the others in it."""
    stem, file_version = java_names.of_file(name)
    matching = [pom for pom in poms if _names(pom, stem, poms)]
    artifact = matching[0].artifact if matching else java_names.artifact(manifest, stem)
    version = matching[0].version if matching else java_names.version(manifest, file_version)
    group = ""
    others: list[_Pom] = []
    for pom in poms:
        if pom.artifact == artifact:
            group, version = group or pom.group, pom.version
        else:
            others.append(pom)
    if not artifact:
        return None, others
    return (
        Component(
            ecosystem="maven",
            group=group or java_names.group(manifest) or artifact,
            name=artifact,
            version=version,
            licenses=java_names.licenses(manifest),
        ),
        others,
    )


def _names(pom: _Pom, stem: str, poms: list[_Pom]) -> bool:
    """Whether a pom is that of the archive with this name, without version and ending."""
    if not stem:
        return False
    if any(other.artifact == stem for other in poms):
        return pom.artifact == stem
    return pom.artifact.startswith(stem) or stem.endswith(pom.artifact)
