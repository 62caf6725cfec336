"""Polyarch's own image in rootless podman."""

import contextlib
import os
import signal
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path

from tests.needs import need
from tests.people import Person, person
from tests.program import Result
from tests.workflows.machine import Machine, with_path

# As docs/guides/ci.md says.
OPTIONS = ("--security-opt", "seccomp=unconfined", "--security-opt", "unmask=ALL")


class Podman:
    """podman for one user without root. Made and removed by `rootless`."""

    def __init__(self, user: Person) -> None:
        self.user = user
        self.work = user.directory / "work"
        self.work.mkdir()
        user.give(self.work)
        self._machines = 0
        self._runtime = user.directory / "run"
        self._runtime.mkdir(mode=0o700)
        user.give(self._runtime)
        # crun refuses to run where cgroups of both versions have controllers; runc does not.
        controllers = Path("/sys/fs/cgroup/unified/cgroup.controllers")
        mixed = controllers.exists() and controllers.read_text().strip()
        self._options = ("--storage-driver", "overlay", *(("--runtime", "runc") if mixed else ()))

    def __call__(
        self, *words: str | Path, check: bool = True, stdin: str = "", cwd: Path | None = None, seconds: float = 300.0
    ) -> Result:
        """Run podman."""
        env = {"XDG_RUNTIME_DIR": str(self._runtime)}
        command = ("podman", *self._options, *words)
        return self.user.run(*command, check=check, cwd=cwd, env=env, stdin=stdin, seconds=seconds)

    def load(self, archive: Path) -> None:
        """Put the images of an archive into its storage."""
        self("load", "--quiet", "--input", archive)

    def run(
        self,
        image: str,
        script: str,
        *,
        env: Mapping[str, str] | None = None,
        options: tuple[str, ...] = OPTIONS,
        check: bool = True,
    ) -> Result:
        """Run a script of bash in the image, in a directory with the files of `work`."""
        variables = [word for name, value in (env or {}).items() for word in ("--env", f"{name}={value}")]
        mounts = ("--volume", f"{self.work}:/work", "--workdir", "/work", "--network=host", "--rm")
        return self("run", *mounts, *options, *variables, image, "bash", "-euc", script, check=check)

    @contextlib.contextmanager
    def machine(self, image: str) -> Generator[Machine]:
        """A container of the image that stays while the block runs, as a machine for the steps of a job."""
        self._machines += 1
        directory = self.user.directory / f"machine-{self._machines}"
        directory.mkdir()
        self.user.give(directory)
        mount = ("--volume", f"{directory}:{directory}", "--network=host", "--rm", "--detach")
        name = self("run", *mount, *OPTIONS, image, "sleep", "infinity").stdout.strip()
        try:
            yield _Container(self, name, directory)
        finally:
            self("rm", "--force", "--time=0", name)

    def close(self) -> None:
        """Remove its storage, and end the process that podman leaves behind to keep its namespaces."""
        self("system", "reset", "--force", check=False)
        pause = self._runtime / "libpod/tmp/pause.pid"
        with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
            os.kill(int(pause.read_text()), signal.SIGTERM)


class _Container:
    """A container as a machine. It ends with Podman.machine()."""

    def __init__(self, podman: Podman, name: str, directory: Path) -> None:
        self.directory = directory
        self._podman = podman
        self._name = name

    def run(
        self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str], path: Sequence[str] = (), stdin: str = ""
    ) -> Result:
        variables = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
        command = ("exec", "--interactive", "--workdir", str(cwd), *variables, self._name, *with_path(words, path))
        return self._podman(*command, check=False, stdin=stdin)

    def give(self, place: Path) -> None:
        self._podman.user.give(place)


@contextlib.contextmanager
def rootless() -> Iterator[Podman]:
    """podman for a user with a range of ids."""
    need("podman", "runc", "newuidmap")
    with person("polyarch-test", ranges=True) as user:
        podman = Podman(user)
        try:
            yield podman
        finally:
            podman.close()
