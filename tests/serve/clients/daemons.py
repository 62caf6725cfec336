"""Programs that ask a daemon: docker, and containerd's ctr. Both need root."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from scripts import docker_client
from scripts.buildkit_daemon import BuildKitDaemon
from tests.needs import need, need_root
from tests.serve.clients.client import Client, newest
from tests.serve.clients.layout import Layout
from tests.serve.contents import Where

_START_SECONDS = 20.0


class Docker(Client):
    """Debian's newest docker with containerd's image store, which keeps indexes whole."""

    name = "docker"
    containerd_store: ClassVar[bool] = True

    def __init__(self, directory: Path, where: Where) -> None:
        super().__init__(directory, where)
        need_root()
        need("unshare", "mmdebstrap")
        self._daemon = BuildKitDaemon(directory / "daemon", containerd_store=self.containerd_store)
        self.env |= self._daemon.environment

    def close(self) -> None:
        self._daemon.close()

    def command(self) -> Iterable[str | Path]:
        return (docker_client.docker(),)

    def version(self) -> str:
        return f"dockerd {self._daemon.versions()['dockerd']}"

    def login(self) -> None:
        assert self.where.login
        name, password = self.where.login
        self.run("login", "--username", name, "--password-stdin", self.where.address, stdin=password)

    def push(self, layout: Layout, image: str) -> None:
        self.run("load", "-q", "-i", layout.archive)
        self.run("tag", layout.name, self.at(image))
        self.run("push", "-q", self.at(image))
        self.run("rmi", self.at(image), layout.name)

    def pull(self, image: str, layout: Layout) -> set[str]:
        found = set()
        for platform in layout.members():
            self.run("pull", "-q", "--platform", platform, self.at(image))
        told = self._daemon.get(f"/images/{self.at(image)}/json?manifests=1")
        for member in told["Manifests"]:
            if member["Available"]:
                # It is whole only with its config and layers, whose digests containerd has compared.
                found |= layout.reached(member["ID"])
        return found | {told["Id"]}


class ClassicDocker(Docker):
    """The same docker with its own image store: it keeps the machine's platform only, and sends docker's schema 2."""

    name = "docker-classic"
    platform = "linux/amd64" if os.uname().machine == "x86_64" else "linux/arm64"
    containerd_store = False

    def pull(self, image: str, layout: Layout) -> set[str]:
        self.run("pull", "-q", self.at(image))
        told = self._daemon.get(f"/images/{self.at(image)}/json")
        # An image is named after its config there, and its layers were compared when they were unpacked.
        return layout.reached(layout.members()[self.platform]) if told["Id"] in layout.configs().values() else set()


class Containerd(Client):
    """Debian's newest containerd, asked by ctr."""

    name = "ctr"

    def __init__(self, directory: Path, where: Where) -> None:
        super().__init__(directory, where)
        need_root()
        self._socket = directory / "containerd.sock"
        options = [f"root = '{directory}/data'", f"state = '{directory}/state'", "version = 3"]
        options += ["disabled_plugins = ['io.containerd.grpc.v1.cri', 'io.containerd.cri.v1.images']"]
        (directory / "config.toml").write_text("\n".join([*options, f"[grpc]\naddress = '{self._socket}'\n"]))
        command = [newest() / "usr/bin/containerd", "--config", directory / "config.toml", "--log-level", "warn"]
        with open(directory / "log", "wb") as log:
            self._process = subprocess.Popen(command, env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()

    def command(self) -> Iterable[str | Path]:
        return (newest() / "usr/bin/ctr", "--address", self._socket)

    def login(self) -> None:
        """Each command has the name and the password."""

    def push(self, layout: Layout, image: str) -> None:
        self.run("images", "import", "--all-platforms", "--no-unpack", "--local", layout.archive)
        self.run("images", "push", "--local", *self._options(), self.at(image), layout.name)

    def pull(self, image: str, layout: Layout) -> set[str]:
        self._forget()
        self.run("images", "pull", "--local", "--all-platforms", *self._options(), self.at(image))
        return set(self.run("content", "ls", "-q").lines())

    def _forget(self) -> None:
        if names := self.run("images", "ls", "-q").lines():
            self.run("images", "rm", "--sync", *names)
        left = self.run("content", "ls", "-q").lines()
        assert not left, f"containerd still has {left}"

    def _options(self) -> list[str]:
        options = ["--tlscacert", str(self.where.authority)] if self.where.authority else ["--plain-http"]
        return [*options, "--user", ":".join(self.where.login)] if self.where.login else options

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._socket.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"containerd does not start here:\n{(self.directory / 'log').read_text()[-2000:]}")
            time.sleep(0.02)
