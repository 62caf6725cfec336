"""Unprivileged users that tests run commands as; created if the tests run as root."""

import contextlib
import fcntl
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.needs import missing, need
from tests.program import Program, Result, run

_REPOSITORY = Path(__file__).resolve().parent.parent


class Person:
    """An unprivileged user with a home directory; if the tests do not run as root, the current user.

    `directory` is a home that the user owns; pytest's tmp_path is root's alone. Made and removed by `person()`.
    """

    def __init__(self, name: str, directory: Path, prefix: Sequence[str]) -> None:
        self.name = name
        self.directory = directory
        self.prefix = tuple(prefix)
        self.polyarch = Program(directory / "store", directory, prefix)

    def run(
        self,
        *command: str | Path,
        check: bool = True,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | bytes = b"",
        seconds: float = 100.0,
    ) -> Result:
        """Run any command as this user."""
        environment = {**self.polyarch.env, **(env or {})}
        place = cwd or self.directory
        return run([*self.prefix, *command], check=check, cwd=place, env=environment, stdin=stdin, seconds=seconds)

    def give(self, path: Path) -> Path:
        """Make this user the owner of a file or tree below its directory."""
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "--no-dereference", f"{self.name}:", str(path)], check=True)
        return path


@contextlib.contextmanager
def person(name: str, *, ranges: bool) -> Iterator[Person]:
    """A user without root, with a range of subordinate ids or without any.

    As root, the user `name` is made if it does not exist. It is left on the machine: another worker may be using it.
    """
    directory = Path(tempfile.mkdtemp(prefix="polyarch-person-"))
    try:
        if os.geteuid() == 0:
            need("setpriv", "unshare", "useradd")
            _make_user(name, ranges=ranges)
            shutil.chown(directory, name, name)
            directory.chmod(0o755)
            yield Person(name, directory, _become(name, directory))
        else:
            me = pwd.getpwuid(os.getuid()).pw_name
            if _has_range(me) != ranges:
                missing(f"needs {'a' if ranges else 'no'} range of {me} in /etc/subuid, or to run as root")
            yield Person(me, directory, ())
    finally:
        _remove(directory)


def _make_user(name: str, *, ranges: bool) -> None:
    with open(Path(tempfile.gettempdir()) / "polyarch-tests-useradd.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            pwd.getpwnam(name)
        except KeyError:
            # A system user gets no subordinate ids by itself.
            run(["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", name])
        if ranges and not _has_range(name):
            start = _free_range()
            ids = f"{start}-{start + 65535}"
            run(["usermod", "--add-subuids", ids, "--add-subgids", ids, name])


def _has_range(name: str) -> bool:
    return all(
        re.search(rf"^{re.escape(name)}:\d+:\d+", Path(file).read_text(), re.MULTILINE) is not None
        for file in ("/etc/subuid", "/etc/subgid")
        if Path(file).exists()
    )


def _free_range() -> int:
    taken = [(100_000, 0)]
    for file in ("/etc/subuid", "/etc/subgid"):
        if Path(file).exists():
            fields = [line.split(":") for line in Path(file).read_text().splitlines() if line.count(":") == 2]
            taken += [(int(start), int(count)) for _, start, count in fields]
    return max(start + count for start, count in taken)


def _become(name: str, directory: Path) -> list[str]:
    """The command that runs a command as this user, for whom this Python and this repository are reachable.

    Either may lie below a directory that only root may enter (/root is one). The user's mount namespace then has an
    empty directory in its place, with what is needed bound into it; the directory itself stays closed.
    """
    closed: dict[Path, set[Path]] = {}
    for path in {Path(sys.base_prefix), Path(sys.prefix), _REPOSITORY}:
        for ancestor in reversed(path.parents):
            if not ancestor.stat().st_mode & 0o001:
                closed.setdefault(ancestor, set()).add(path)
                break
    script = ["set -e"]
    stage = Path(f"{directory}.stage")
    bound = {path: stage / str(number) for number, path in enumerate(sorted(set().union(*closed.values())))}
    for path, place in bound.items():
        script += [f"mkdir -p {shlex.quote(str(place))}", f"mount --bind {shlex.quote(str(path))} {place}"]
    for ancestor, paths in closed.items():
        script.append(f"mount -t tmpfs -o mode=0755 polyarch-tests {shlex.quote(str(ancestor))}")
        for path in sorted(paths):
            inside = shlex.quote(str(path))
            script += [f"mkdir -p {inside}", f"mount --bind {bound[path]} {inside}"]
    become = f"setpriv --reuid={name} --regid={name} --init-groups --"
    # A working directory that was closed is another one now: enter it anew.
    script.append(f'cd "$PWD" 2>/dev/null || cd {shlex.quote(str(directory))}; exec {become} "$@"')
    return ["unshare", "--mount", "--", "sh", "-c", "\n".join(script), "sh"]


def _remove(directory: Path) -> None:
    for tree in (directory, Path(f"{directory}.stage")):
        shutil.rmtree(tree, ignore_errors=True)
    if directory.exists():
        # What a build without root left belongs to subordinate ids: only a namespace that has them may remove it.
        subprocess.run(["unshare", "--map-root-user", "--map-auto", "rm", "-rf", str(directory)], check=False)
