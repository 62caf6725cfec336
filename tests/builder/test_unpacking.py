"""ADD of archives: the result is what GNU tar unpacks, and the layer can be unpacked again."""

import hashlib
import io
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from polyarch.builder.perform.copy import arrange, placement
from polyarch.builder.perform.copy.archives import AddedArchive, open_archive
from polyarch.builder.perform.copy.files import SourceFiles, inline
from polyarch.builder.vertices import CopyFiles, CopyPart
from tests.layers.making import packed, unpack
from tests.needs import need


class Member(NamedTuple):
    """One member of an archive; `link` is a symlink's text, or the name that a hard link gives another to."""

    name: str
    kind: bytes
    text: bytes = b""
    mode: int = 0o644
    link: str = ""


FILES = ["a", "m", "z", "d/a", "d/z", "e/a"]


@st.composite
def archives(draw: st.DrawFn) -> list[Member]:
    """Archives without errors: directories before what is in them, names twice, links to whatever is there."""
    members = [Member("d", tarfile.DIRTYPE, mode=0o755), Member("e", tarfile.DIRTYPE, mode=0o700)]
    there: dict[str, Member] = {}
    for name in draw(st.lists(st.sampled_from(FILES), min_size=1, max_size=12)):
        kind = draw(st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.LNKTYPE]))
        others = sorted(set(there) - {name})
        if kind == tarfile.LNKTYPE and others:
            link = draw(st.sampled_from(others))
            # A hard link's header repeats what its file's says.
            made = Member(name, kind, mode=there[link].mode, link=link)
            there[name] = there[link]
        elif kind == tarfile.SYMTYPE:
            made = there[name] = Member(name, kind, mode=0o777, link=draw(st.sampled_from(["a", "nowhere"])))
        else:
            mode = draw(st.sampled_from([0o644, 0o755, 0o600]))
            made = there[name] = Member(name, tarfile.REGTYPE, draw(st.binary(max_size=3)), mode)
        members.append(made)
    return members


def archive(members: list[Member]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.type, info.mode, info.linkname, info.size = member.kind, member.mode, member.link, len(member.text)
            tar.addfile(info, io.BytesIO(member.text))
    return raw.getvalue()


def tree(directory: Path) -> dict[str, tuple[object, ...]]:
    """Every path: its mode, its content or text, and all names of the same file."""
    names: dict[int, list[str]] = {}
    found: dict[str, tuple[object, ...]] = {}
    paths = sorted(path for path in directory.rglob("*") if path.is_symlink() or not path.is_dir())
    for path in paths:
        names.setdefault(path.lstat().st_ino, []).append(str(path.relative_to(directory)))
    for path in paths:
        content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
        status = path.lstat()
        found[str(path.relative_to(directory))] = (oct(status.st_mode), content, tuple(names[status.st_ino]))
    return found


def ours(raw: bytes, directory: Path) -> None:
    """The layer of `ADD archive /`, packed, and unpacked as a base is."""
    text = raw.decode("utf-8", "surrogateescape")
    spool = directory.with_suffix(f".{hashlib.sha256(raw).hexdigest()}")
    copy = CopyFiles(base=(), parts=(CopyPart(source=(), path="archive", unpack=True),), destination="/")

    def opened(source: SourceFiles, path: str) -> AddedArchive | None:
        return open_archive(source.content(path), spool, "key")

    arranged = arrange.arrange(copy, [inline((("archive", text),))], placement.Empty(), None, opened)
    unpack(directory, raw=packed(arranged.contents(), "none")[1])


@settings(max_examples=60, deadline=None)
@given(members=archives())
def test_an_archive_comes_to_lie_as_tar_unpacks_it(members: list[Member]) -> None:
    need("tar")
    raw = archive(members)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        (place / "theirs").mkdir()
        subprocess.run(["tar", "-xpf", "-", "-C", place / "theirs"], input=raw, check=True)
        ours(raw, place / "ours")
        assert tree(place / "ours") == tree(place / "theirs")
