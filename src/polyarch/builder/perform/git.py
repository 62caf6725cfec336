"""ADD of a git repository, and remote contexts: fetched by the git program, with the user's own settings.

A reference is resolved to a commit without fetching (`git ls-remote`), and the commit is part of the cache key. The
tree is checked out only if something copies from it. Every file has the time of the commit, so a commit gives the same
layer wherever and whenever it is checked out.
"""

import os
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from polyarch import progress
from polyarch.builder.perform.copy.files import FlatFiles
from polyarch.builder.vertices import Git
from polyarch.errors import CancelledError, NotFoundError, PolyarchError, UnsupportedError
from polyarch.layers.entry import Content, LocalFile
from polyarch.layers.walk import walk
from polyarch.secret import SecretBytes

_COMMIT = r"[0-9a-f]{40}|[0-9a-f]{64}"
_PEELED = "^{}"
_SECRET = r"(?<=://)[^/@\s]*@"


class Checkout(msgspec.Struct, frozen=True):
    """A tree on disk, and the time of its commit (seconds)."""

    directory: Path
    time: int


class GitRepositories:
    """Resolves and checks out repositories for one build; safe from many threads.

    `environment` are the variables for the git program, besides PATH. `scratch` is a directory that the caller removes,
    with everything that was checked out. As in BuildKit, the `secrets` GIT_AUTH_TOKEN and GIT_AUTH_HEADER are for all
    http(s) hosts, and GIT_AUTH_TOKEN.github.com is for that host.
    """

    def __init__(
        self,
        scratch: Path,
        search_path: str,
        environment: Mapping[str, str],
        emit: progress.Emit,
        secrets: Mapping[str, SecretBytes] | None = None,
    ) -> None:
        self._secrets = secrets or {}
        self._scratch = scratch
        self._search_path = search_path
        self._environment = environment
        self._emit = emit
        self._lock = threading.Lock()
        self._commits: dict[tuple[str, str], str] = {}
        self._running: set[object] = set()
        self._cancelled = False
        self._count = 0

    def cancel(self) -> None:
        """Kill the programs that run."""
        with self._lock:
            self._cancelled = True
            for process in self._running:
                process.kill()  # type: ignore[attr-defined]

    def commit(self, vertex: Git) -> str:
        """The complete commit id. Raises NotFoundError, and PolyarchError with git's own message."""
        if re.fullmatch(_COMMIT, vertex.ref):
            found = vertex.ref
        else:
            key = (vertex.url, vertex.ref)
            if key not in self._commits:
                self._commits[key] = self._resolve(vertex.url, vertex.ref or "HEAD")
            found = self._commits[key]
        if vertex.checksum and not found.startswith(vertex.checksum):
            raise PolyarchError(
                f"expected checksum to match {vertex.checksum}, got {found}",
                f"{vertex.ref or 'HEAD'} of {_shown(vertex.url)} has moved since the checksum was written",
            )
        return found

    def checkout(self, vertex: Git, commit: str) -> Checkout:
        """Check out `commit`, or its subdirectory, into a new directory. Raises as `commit` does."""
        with self._lock:
            self._count += 1
            top = self._scratch / f"git-{self._count}"
        top.mkdir()
        unit = f"fetch {vertex.url} {commit} {self._count}"
        self._emit(progress.Started(unit, f"fetch {_shown(vertex.url)} at {commit[:12]}"))
        try:
            time = self._fetch(vertex, commit, top)
        except PolyarchError as error:
            self._emit(progress.failed(unit, error))
            raise
        self._emit(progress.Finished(unit))
        if not vertex.keep_git_directory:
            _forget_repositories(top)
        return Checkout(_inside(top, vertex.subdirectory), time)

    def files(self, vertex: Git, commit: str) -> FlatFiles:
        """The tree of `commit` as files to copy from."""
        checkout = self.checkout(vertex, commit)
        found = {walked.entry.path: walked for walked in walk(str(checkout.directory))}
        entries = [
            msgspec.structs.replace(walked.entry, uid=0, gid=0, mtime=checkout.time) for walked in found.values()
        ]

        def content(path: str) -> Content:
            return LocalFile(found[path].path, found[path].stamp)

        return FlatFiles(entries, content, lambda path: f"{commit} {vertex.subdirectory} {path}")

    def _resolve(self, url: str, ref: str) -> str:
        listed: dict[str, str] = {}
        for line in self._git("ls-remote", "--", url, ref, ref + _PEELED, url=url).splitlines():
            commit, tab, name = line.partition("\t")
            if tab:
                listed[name] = commit
        tag = "refs/tags/" + ref.removeprefix("refs/tags/")
        # The order of git-checkout: a complete name, a branch, a tag. An annotated tag means its commit.
        exact = "refs/" + ref.removeprefix("refs/")
        for name in (ref + _PEELED, ref, exact + _PEELED, exact, f"refs/heads/{ref}", tag + _PEELED, tag):
            if name in listed:
                return listed[name]
        raise NotFoundError(
            f"repository {_shown(url)} does not contain ref {ref!r}", "name a branch, a tag or a complete commit id"
        )

    def _fetch(self, vertex: Git, commit: str, top: Path) -> int:
        """Check out the commit into `top`. Returns its time."""
        self._git("-c", "init.defaultBranch=main", "init", "--quiet", str(top))
        self._git("remote", "add", "origin", vertex.url, cwd=top)
        try:
            self._git("fetch", "--quiet", "--depth=1", "--no-tags", "--", "origin", commit, cwd=top, url=vertex.url)
        except PolyarchError:
            # A server may refuse to send a commit by its id. Then all branches and tags are fetched.
            wanted = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
            self._git("fetch", "--quiet", "--", "origin", *wanted, cwd=top, url=vertex.url)
        self._git("-c", "advice.detachedHead=false", "checkout", "--quiet", "--force", commit, cwd=top)
        if vertex.submodules and (top / ".gitmodules").exists():
            words = ("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")
            self._git(*words, cwd=top, url=vertex.url)
        return int(self._git("show", "--no-patch", "--format=%ct", f"{commit}^0", cwd=top).split()[-1])

    def _git(self, *words: str, cwd: Path | None = None, url: str = "") -> str:
        """Run git and return its output. It does not prompt for passwords, or use a repository that a variable names.

        `url` is the server that it contacts; it gets the secrets for that host.
        """
        import shutil
        import subprocess

        program = shutil.which("git", path=self._search_path)
        if program is None:
            raise UnsupportedError("git is not installed", "it fetches repositories: install the package git")
        kept = {name: value for name, value in self._environment.items() if name not in _MISLEADING}
        env = {"HOME": "/", **kept, "PATH": self._search_path, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"}
        env |= self._authorization(url, env.get("GIT_CONFIG_COUNT", ""))
        with self._lock:
            if self._cancelled:
                raise CancelledError
            process = subprocess.Popen(
                [program, *words],
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                umask=0o022,
            )
            self._running.add(process)
        try:
            out, err = process.communicate()
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            with self._lock:
                self._running.discard(process)
        if process.returncode:
            message = _shown(err.decode("utf-8", "replace").strip()) or f"exit status {process.returncode}"
            verb = next((word for word in words if word in _VERBS), words[0])
            raise PolyarchError(f"git {verb} failed: {message}", "check the URL, the name, and your access to it")
        return out.decode("utf-8", "surrogateescape")

    def _authorization(self, url: str, settings: str) -> dict[str, str]:
        """The header as a git setting in variables, after `settings` others: every user can see arguments."""
        from base64 import b64encode

        parts = urlsplit(url) if url.startswith(("http://", "https://")) else None
        if parts is None:
            return {}
        host = parts.netloc.rpartition("@")[2]
        for name in (f"GIT_AUTH_HEADER.{host}", f"GIT_AUTH_TOKEN.{host}", "GIT_AUTH_HEADER", "GIT_AUTH_TOKEN"):
            secret = bytes(self._secrets.get(name, b"")).strip()
            if secret:
                if "TOKEN" in name:
                    secret = b"basic " + b64encode(b"x-access-token:" + secret)
                number = int(settings) if settings.isdigit() else 0
                return {
                    "GIT_CONFIG_COUNT": str(number + 1),
                    f"GIT_CONFIG_KEY_{number}": f"http.{parts.scheme}://{host}/.extraheader",
                    f"GIT_CONFIG_VALUE_{number}": f"Authorization: {secret.decode('utf-8', 'surrogateescape')}",
                }
        return {}


_VERBS = ("ls-remote", "init", "remote", "fetch", "checkout", "submodule", "show")
# Git sets these for its hooks. A build that a hook starts must not write into the repository around it.
_MISLEADING = frozenset(
    "GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_COMMON_DIR "
    "GIT_PREFIX GIT_NAMESPACE GIT_QUARANTINE_PATH".split()
)


def _forget_repositories(top: Path) -> None:
    """Remove .git, and the .git files of submodules, which point to it."""
    from polyarch.store.trees import remove_tree

    pending = [str(top)]
    while pending:
        directory = pending.pop()
        with os.scandir(directory) as items:
            found = [(item.name, item.is_dir(follow_symlinks=False)) for item in items]
        for name, is_directory in found:
            path = f"{directory}/{name}"
            if is_directory and name == ".git":
                remove_tree(path)
            elif is_directory:
                pending.append(path)
            elif name == ".git":
                os.unlink(path)


def _inside(top: Path, subdirectory: str) -> Path:
    """The subdirectory. Raises NotFoundError, even if a symlink leads out of the repository."""
    path = Path(os.path.realpath(top / subdirectory))
    if not path.is_dir() or not path.is_relative_to(os.path.realpath(top)):
        raise NotFoundError(f"the repository has no directory {subdirectory!r}")
    return path


def _shown(text: str) -> str:
    """`text` without users and passwords in URLs."""
    return re.sub(_SECRET, "", text)
