"""Engines that load saved images: dockerd and podman, each with its own storage and socket."""

import contextlib
import fcntl
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from polyarch.transfer import engine
from scripts import buildkit_daemon, busybox, debian
from tests.needs import elsewhere, missing, need, need_root
from tests.program import Result, run

_START_SECONDS = 20.0
_PACKAGES = ("docker.io", "containerd")


class Engine:
    """A running engine. `host` is what DOCKER_HOST would be; calling it runs its client: `docker("images")`."""

    def __init__(self, client: Sequence[str], socket: Path, env: dict[str, str]) -> None:
        self._client = tuple(client)
        self.env = env
        self.host = f"unix://{socket}"

    def __call__(self, *arguments: str | Path, check: bool = True, stdin: bytes = b"") -> Result:
        return run([*self._client, *arguments], check=check, env=self.env, stdin=stdin)

    def inspect(self, image: str) -> Any:
        """`docker image inspect` of an image."""
        return self("image", "inspect", image).json()[0]


@contextlib.contextmanager
def podman() -> Iterator[Engine]:
    """podman's service, which answers to docker's calls; `podman` is its client."""
    need("podman")
    with tempfile.TemporaryDirectory(prefix="polyarch-podman-") as directory:
        command = ["podman", "--root", f"{directory}/root", "--runroot", f"{directory}/run", "--storage-driver", "vfs"]
        socket = Path(directory, "engine.sock")
        service = [*command, "system", "service", "--time=0", f"unix://{socket}"]
        with subprocess.Popen(service, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                _wait(process, socket, None)
                yield Engine(command, socket, dict(os.environ))
            finally:
                process.terminate()


@contextlib.contextmanager
def dockerd() -> Iterator[Engine]:
    """dockerd in namespaces of its own, with neither network nor iptables: it loads, saves and lists. Needs root."""
    need_root()
    need("unshare")
    programs = docker_programs()
    with tempfile.TemporaryDirectory(prefix="polyarch-dockerd-", ignore_cleanup_errors=True) as directory:
        env = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}:/usr/sbin:/sbin"}
        env |= {"HOME": directory, "DOCKER_HOST": f"unix://{directory}/engine.sock"}
        Path(directory, "daemon.json").write_text("{}")
        log = Path(directory, "log")
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "dockerd"]
        command += [f"--data-root={directory}/data", f"--exec-root={directory}/exec", f"--pidfile={directory}/pid"]
        command += [f"--config-file={directory}/daemon.json", f"--host=unix://{directory}/engine.sock"]
        command += ["--storage-driver=vfs", "--bridge=none", "--iptables=false", "--ip6tables=false"]
        command += ["--ip-forward=false", "--ip-masq=false"]
        with log.open("wb") as output, subprocess.Popen(command, env=env, stdout=output, stderr=output) as process:
            try:
                _wait(process, Path(directory, "engine.sock"), log)
                yield Engine(["docker"], Path(directory, "engine.sock"), env)
            finally:
                # unshare waits through SIGTERM; when it is killed, the kernel ends all that is in its namespace.
                process.kill()


@contextlib.contextmanager
def todays_dockerd(*, containerd_store: bool) -> Iterator[buildkit_daemon.BuildKitDaemon]:
    """The newest dockerd that Debian has, with or without containerd's image store. Needs root."""
    need_root()
    need("unshare", "mmdebstrap")
    with contextlib.ExitStack() as stack:
        try:
            daemon = stack.enter_context(buildkit_daemon.running(containerd_store=containerd_store))
        except (debian.UnavailableError, RuntimeError) as problem:
            missing(str(problem))
        yield daemon


def docker_programs() -> Path:
    """A directory with docker, dockerd and containerd: the distribution's packages unpacked, nothing installed."""
    installed = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin")
    if installed and shutil.which("docker") and shutil.which("containerd"):
        return Path(installed).parent
    need("apt-get", "dpkg-deb")
    own = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine())
    if own is None:
        elsewhere("an engine's packages are looked for on amd64 and arm64")
    cache = busybox.cache_directory()
    directory = cache / "docker-engine"
    with open(cache / "docker-engine.lock", "w") as lock, tempfile.TemporaryDirectory(dir=cache) as scratch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            try:
                packages = debian.download([f"{name}:{own}" for name in _PACKAGES], Path(scratch))
            except debian.UnavailableError as problem:
                missing(str(problem))
            collected = Path(scratch, "programs")
            collected.mkdir()
            for package in packages.values():
                run(["dpkg-deb", "-x", package, Path(scratch, "root")])
            for program in [*Path(scratch, "root/usr/bin").iterdir(), *Path(scratch, "root/usr/sbin").iterdir()]:
                program.rename(collected / program.name)
            collected.rename(directory)
    return directory


def _wait(process: subprocess.Popen[bytes], socket: Path, log: Path | None) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while engine.find([str(socket)]) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace")[-2000:] if log is not None else ""
            missing(f"{process.args!r} does not start here:\n{said}")
        time.sleep(0.02)
