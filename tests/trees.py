"""Directories as literals, for build contexts and for what comes out of an image."""

import os
import stat
import tarfile
from collections.abc import Mapping
from pathlib import Path

# path → text; bytes; "-> target" for a symbolic link; None for an empty directory.
Tree = Mapping[str, str | bytes | None]


def write(directory: Path, tree: Tree) -> Path:
    """Make a directory that holds a tree. A text that begins with `#!` becomes an executable file."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in tree.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir(exist_ok=True)
        elif isinstance(content, str) and content.startswith("-> "):
            path.symlink_to(content.removeprefix("-> "))
        else:
            raw = content.encode() if isinstance(content, str) else content
            path.write_bytes(raw)
            path.chmod(0o755 if raw.startswith(b"#!") else 0o644)
    return directory


def unpack(archive: Path, directory: Path) -> Path:
    """Make a directory of what is in a tar, which has nothing outside of itself."""
    with tarfile.open(archive) as tar:
        # Debian 12 has Python 3.11.2, whose extractall() takes no `filter`.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(directory)
    return directory


def read(directory: Path) -> dict[str, str | None]:
    """The tree of a directory, in the same notation; devices, pipes and sockets are left out."""
    found: dict[str, str | None] = {}
    for folder, folders, files in os.walk(directory):
        for name in sorted(folders + files):
            path = Path(folder) / name
            place = str(path.relative_to(directory))
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                found[place] = f"-> {os.readlink(path)}"
            elif stat.S_ISREG(mode):
                found[place] = path.read_text(errors="surrogateescape")
            elif stat.S_ISDIR(mode) and not any(path.iterdir()):
                found[place] = None
    return found
