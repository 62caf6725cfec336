"""The clients: their packages, and what drives them."""

import contextlib
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Self

from scripts.local_registry import LocalRegistry, running
from tests.bases import import_busybox
from tests.clients import chartpress, devcontainers, docker_compose, nx, podman_compose, semantic_release
from tests.clients.packages import Install, installed, nothing, npm, pip
from tests.clients.stage import BOTH, Stage, drive_script
from tests.program import Program

_HERE = Path(__file__).parent


class Client(NamedTuple):
    """A program that calls docker: its packages, and what drives it. `quick` ones run with the other tests, too."""

    install: Install
    packages: tuple[str, ...]
    drive: Callable[[Stage], None]
    quick: bool = False


def _toolkit(stage: Stage) -> None:
    # A module finds its packages beside itself.
    script = stage.place / "toolkit.mjs"
    script.unlink(missing_ok=True)
    script.symlink_to(_HERE / "toolkit.mjs")
    drive_script(stage, ["node", "--preserve-symlinks-main", script])


def _whales(stage: Stage) -> None:
    drive_script(stage, [stage.place / "venv/bin/python", _HERE / "whales.py"])


CLIENTS: Mapping[str, Client] = {
    "actions-toolkit": Client(npm, ("@docker/actions-toolkit@0.101.0",), _toolkit),
    "python-on-whales": Client(pip, ("python-on-whales==0.81.0",), _whales, quick=True),
    "chartpress": Client(pip, ("chartpress==2.4.0",), chartpress.drive, quick=True),
    "podman-compose": Client(pip, ("podman-compose==1.6.0",), podman_compose.drive, quick=True),
    "docker-compose": Client(nothing, (), docker_compose.drive, quick=True),
    "devcontainers": Client(npm, ("@devcontainers/cli@0.89.0",), devcontainers.drive),
    "semantic-release-docker": Client(
        npm, ("@codedependant/semantic-release-docker@8.0.0", "semantic-release@24.2.9"), semantic_release.drive
    ),
    "nx-container": Client(
        npm,
        (
            "@nx-tools/nx-container@7.3.0",
            *(f"{name}@23.3.1" for name in ("nx", "@nx/devkit", "@nx/js")),
            "dotenv@16.6.1",
            "tslib@2.8.1",
        ),
        nx.drive,
    ),
}


class Server:
    """A registry on loopback with a base image of two platforms, for clients that run one after the other.

    It owns the registry and a directory with the files of the clients; both end with the `with`.
    """

    def __enter__(self) -> Self:
        self._resources = contextlib.ExitStack()
        with self._resources as resources:
            name = resources.enter_context(tempfile.TemporaryDirectory(prefix="polyarch-clients-"))
            self._directory = Path(name)
            self.registry: LocalRegistry = resources.enter_context(running(self._directory / "r"))
            polyarch = Program(self._directory / "bases", self._directory)
            import_busybox(polyarch, f"{self.registry.address}/base:1", BOTH)
            polyarch("push", f"{self.registry.address}/base:1")
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        self._resources.close()

    def run(self, name: str) -> Stage:
        """Drive a client. Returns its stage, with the results."""
        client = CLIENTS[name]
        place = installed(name, client.install, client.packages)
        stage = Stage(self._directory / name, place, self.registry.address)
        try:
            client.drive(stage)
        except Exception:
            # What the client did until then says more than the driver's trace.
            stage.results["its driver"] = traceback.format_exc()
        return stage
