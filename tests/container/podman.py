"""Polyarch's own image in rootless podman."""

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.needs import need
from tests.people import Person, person
from tests.program import Result

# As docs/guides/ci.md says.
OPTIONS = ("--security-opt", "seccomp=unconfined", "--security-opt", "unmask=ALL")


class Podman:
    """podman for one user without root. Made and removed by `rootless`."""

    def __init__(self, user: Person) -> None:
        self.user = user
        self.work = user.directory / "work"
        self.work.mkdir()
        user.give(self.work)
        self._runtime = user.directory / "run"
        self._runtime.mkdir(mode=0o700)
        user.give(self._runtime)
        # crun refuses to run where cgroups of both versions have controllers; runc does not.
        controllers = Path("/sys/fs/cgroup/unified/cgroup.controllers")
        mixed = controllers.exists() and controllers.read_text().strip()
        self._options = ("--storage-driver", "overlay", *(("--runtime", "runc") if mixed else ()))

    def __call__(self, *words: str | Path, check: bool = True, seconds: float = 300.0) -> Result:
        """Run podman."""
        return self.user.run(
            "podman", *self._options, *words, check=check, env={"XDG_RUNTIME_DIR": str(self._runtime)}, seconds=seconds
        )

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

    def close(self) -> None:
        """Remove its storage, and end the process that podman leaves behind to keep its namespaces."""
        self("system", "reset", "--force", check=False)
        pause = self._runtime / "libpod/tmp/pause.pid"
        with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
            os.kill(int(pause.read_text()), signal.SIGTERM)


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
