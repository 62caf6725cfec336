"""The artifacts of a workflow: files that one job gives to another, with actions/upload-artifact and download-artifact.

An artifact is a zip: it has no modes and no empty directories. Files whose names begin with a dot are left out.
"""

import fnmatch
import glob
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# An upload of a name with one of these fails, because some file systems cannot have it.
_FORBIDDEN = set('":<>|*?\r\n')


class Artifacts:
    """Artifacts by name, each with its files."""

    def __init__(self) -> None:
        self._files: dict[str, dict[str, bytes]] = {}

    def upload(self, inputs: Mapping[str, Any], workspace: Path) -> None:
        """`name`, `path` (lines of paths and patterns) and `if-no-files-found` of the action."""
        name = inputs["name"]
        assert name not in self._files, f"there is an artifact {name} already"
        roots = [_root(workspace, line.strip()) for line in str(inputs["path"]).splitlines() if line.strip()]
        files: dict[str, bytes] = {}
        for root, found in roots:
            for file in found:
                place = file.relative_to(root)
                assert not _FORBIDDEN & set(str(place)), f"an artifact cannot have a file {place}"
                if not any(part.startswith(".") for part in place.parts):
                    files[str(place)] = file.read_bytes()
        assert files or inputs.get("if-no-files-found") != "error", f"no files were found for {name}"
        self._files[name] = files

    def download(self, inputs: Mapping[str, Any], workspace: Path) -> Path:
        """`name` or `pattern`, `path` and `merge-multiple` of the action. Returns the directory."""
        target = workspace / str(inputs.get("path", "."))
        if "name" in inputs:
            chosen, merged = [inputs["name"]], True
        else:
            chosen = [name for name in self._files if fnmatch.fnmatch(name, inputs.get("pattern", "*"))]
            merged = str(inputs.get("merge-multiple", "false")).lower() == "true"
        assert chosen, f"no artifact is called {inputs}"
        for name in chosen:
            for place, content in self._files[name].items():
                file = (target if merged else target / name) / place
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
        return target


def _root(workspace: Path, pattern: str) -> tuple[Path, list[Path]]:
    """The directory from which names count, and the files: those of a directory, one file, or those of a pattern."""
    path = workspace / pattern
    if path.is_dir():
        return path, [file for file in path.rglob("*") if file.is_file()]
    if path.is_file():
        return path.parent, [path]
    found = [Path(one) for one in glob.glob(str(path), recursive=True)]
    files = [file for one in found for file in ([one] if one.is_file() else one.rglob("*")) if file.is_file()]
    plain = str(path).partition("*")[0]
    return Path(plain if plain.endswith("/") else os.path.dirname(plain)), files
