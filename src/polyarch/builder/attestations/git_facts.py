"""What git says of a directory: the commit, where it was cloned from, and whether files changed. Needs no network."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from polyarch.oci.redaction import without_credentials

# Git sets these for its hooks. They name another repository than the one around the directory.
_MISLEADING = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX"})


class GitDirectory:
    """Asks git about one directory. It owns nothing.

    `variables` are the environment for git, besides PATH, which is `search_path`.
    """

    def __init__(self, directory: Path, search_path: str, variables: Mapping[str, str]) -> None:
        self._directory = directory
        self._program = shutil.which("git", path=search_path)
        kept = {name: value for name, value in variables.items() if name not in _MISLEADING}
        # Asking changes nothing in the repository: without locks, `git status` does not refresh its index.
        self._environment = {"HOME": "/", **kept, "PATH": search_path, "LC_ALL": "C.UTF-8", "GIT_OPTIONAL_LOCKS": "0"}

    def facts(self, directories: Mapping[str, Path], *, check_dirty: bool) -> dict[str, str]:
        """The facts as in buildx: `revision`, `source`, and `localdir:NAME` for each of `directories` by name.

        Nothing if the directory is not in a repository, or git is not installed. With `check_dirty`, the revision ends
        in `-dirty` if files were changed, or are not in the repository.
        """
        top = self._ask("rev-parse", "--show-toplevel")
        if not top:
            return {}
        found: dict[str, str] = {}
        revision = self._ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        if revision:
            changed = check_dirty and self._ask("status", "--porcelain", "--ignored") != ""
            found["revision"] = f"{revision}-dirty" if changed else revision
        source = self._source()
        if source:
            found["source"] = without_credentials(source)
        for name, directory in directories.items():
            relative = os.path.relpath(os.path.realpath(directory), os.path.realpath(top))
            if not relative.startswith(".."):
                found[f"localdir:{name}"] = relative
        return found

    def _source(self) -> str:
        """The URL of the branch's own remote, else of origin, else of upstream."""
        branch = self._ask("symbolic-ref", "-q", "HEAD")
        own = self._ask("for-each-ref", "--format=%(upstream:remotename)", branch) if branch else ""
        urls = (
            self._ask("remote", "get-url", remote) for remote in dict.fromkeys((own, "origin", "upstream")) if remote
        )
        return next(filter(None, urls), "")

    def _ask(self, *words: str) -> str | None:
        """The first line that git answers; empty without an answer, None if it failed."""
        if self._program is None:
            return None
        command: Sequence[str] = (self._program, "-C", str(self._directory), "-c", "core.fsmonitor=false", *words)
        done = subprocess.run(
            command, env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if done.returncode:
            return None
        return done.stdout.decode("utf-8", "replace").partition("\n")[0].strip()
