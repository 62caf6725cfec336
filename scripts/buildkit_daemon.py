"""A BuildKit of our own, for benchmarks and tests: dockerd, which contains it, from Debian's packages in a root apart.

Nothing of the machine changes: the root lies in the cache, the daemon has mounts and processes of its own, no bridge
and no rules in the firewall, and it registers nothing. It needs root.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts import busybox, debian_root, foreign

# The newest docker that Debian has. git is for contexts and ADD, xz for archives of ADD.
_SUITE = "sid"
_PACKAGES = ("docker.io", "docker-buildx", "git", "xz-utils")
_BUILDX = "usr/libexec/docker/cli-plugins/docker-buildx"
_START_SECONDS = 20.0

# $1 the root, $2 the daemon's directory, then the command. In a chroot runc can only pivot_root if that is a mount.
_ENTER = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount --bind "$2" "$1/mnt"
mount --rbind /dev "$1/dev"
mount --rbind /sys "$1/sys"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/run"
mount -t tmpfs tmpfs "$1/tmp"
mount --bind "$2/resolv.conf" "$1/etc/resolv.conf"
root=$1
shift 2
exec chroot "$root" "$@"
"""

# A sysfs may be mounted by the owner of the network namespace only, which is the machine unless the RUN has a network
# of its own. Rootless BuildKit binds /sys for this reason.
_RUNC = r"""#!/bin/sh
previous=
for word; do
  if [ "$previous" = --bundle ] && ! grep -q '"type":"network"' "$word/config.json"; then
    sed -i 's@"type":"sysfs","source":"sysfs","options":\[@"type":"bind","source":"/sys","options":["rbind",@' \
      "$word/config.json"
  fi
  previous=$word
done
exec /usr/sbin/runc "$@"
"""


class BuildKitDaemon:
    """A running dockerd with containerd's image store, so that it builds for several platforms; and its client, buildx.

    Who makes it ends it: `close()` ends its processes, with which its mounts go, and removes its data.
    """

    def __init__(
        self,
        directory: Path,
        *,
        mirror: str = "",
        containerd_store: bool = True,
        emulating: bool = False,
        network: bool = False,
    ) -> None:
        """Start it, with its data in a directory that is not there yet, and return when it answers.

        mirror: the URL of a registry that stands for docker.io.
        containerd_store: whether images are in containerd's store, and so for several platforms.
        emulating: run it in a user namespace where foreign programs run, where the machine allows that. Elsewhere
            an emulated RUN can be one process only.
        network: let it and its RUNs find others by name. Without it they reach loopback only.

        Raises debian.UnavailableError when its packages cannot be had, RuntimeError when it does not start.
        """
        if os.geteuid() != 0:
            raise RuntimeError("dockerd needs root")
        root = debian_root.root(_SUITE, _PACKAGES, busybox.cache_directory())
        self._directory = directory
        self._root = root
        self._cgroup = f"polyarch-buildkit-{os.getpid()}-{directory.name}"
        self.socket = directory / "docker.sock"
        (directory / "bin").mkdir(parents=True)
        self.emulates = emulating and foreign.works()
        if self.emulates:
            (directory / "bin/runc").write_text(_RUNC)
            (directory / "bin/runc").chmod(0o755)
        else:
            _emulators(directory / "bin")
        (directory / "resolv.conf").write_text(Path("/etc/resolv.conf").read_text() if network else "")
        config = {
            "features": {"containerd-snapshotter": containerd_store},
            "registry-mirrors": [mirror] if mirror else [],
        }
        (directory / "daemon.json").write_text(json.dumps(config))
        daemon = ["dockerd", "--data-root=/mnt/data", "--exec-root=/mnt/exec", "--pidfile=/mnt/pid", "--log-level=warn"]
        daemon += [
            "--config-file=/mnt/daemon.json",
            "--host=unix:///mnt/docker.sock",
            f"--cgroup-parent={self._cgroup}",
        ]
        daemon += ["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"]
        # docker-init collects the processes that containerd's shims leave.
        inside = ["sh", "-c", _ENTER, "sh", str(root), str(directory), "docker-init", "--", *daemon]
        environment = {"PATH": "/mnt/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/mnt"}
        command: Sequence[str] = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *inside]
        with open(directory / "log", "wb") as log:
            self._process = subprocess.Popen(
                foreign.command(*command) if self.emulates else command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    @property
    def environment(self) -> Mapping[str, str]:
        """What its client needs beside PATH."""
        return {"DOCKER_HOST": f"unix://{self.socket}", "BUILDX_CONFIG": str(self._directory / "buildx")}

    def buildx(self, *arguments: str) -> Sequence[str]:
        """The command of its own client, as a program by itself: without docker around it it starts 50 ms sooner."""
        return (str(self._root / _BUILDX), *arguments)

    def get(self, path: str) -> Any:
        """The answer of dockerd's API to a GET of this path, which begins with `/`."""
        connection = http.client.HTTPConnection("docker")
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.closing(connection):
            connection.sock.connect(str(self.socket))
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())

    def versions(self) -> dict[str, str]:
        """Those of dockerd and buildx."""
        daemon = self._output("chroot", str(self._root), "dockerd", "--version")
        client = self._output(*self.buildx("version"))
        return {"dockerd": daemon.split()[2].rstrip(","), "buildx": client.split()[1]}

    def forget(self) -> None:
        """Drop all that builds left. What is exported with store=false leaves nothing else."""
        self._output(*self.buildx("prune", "--all", "--force"))
        self._output(*self.buildx("history", "rm", "--all"))

    def processor_seconds(self) -> float:
        """User and system time so far of all its processes, and of those that they waited for."""
        ticks = 0
        for process in self._processes():
            with contextlib.suppress(OSError):
                stat = Path("/proc", str(process), "stat").read_text()
                # utime, stime, cutime, cstime: fields 14 to 17; the name may hold anything, and ends with a bracket.
                ticks += sum(map(int, stat.rpartition(")")[2].split()[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        # All end with the first of the namespace, which `unshare` then collects.
        if (first := self._first()) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(first, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()
        for cgroup in Path("/sys/fs/cgroup").glob(f"*/{self._cgroup}"):
            for path, _, _ in os.walk(cgroup, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _first(self) -> int | None:
        """The first process of the namespace, by its id out here."""
        try:
            children = Path("/proc", str(self._process.pid), "task", str(self._process.pid), "children").read_text()
        except FileNotFoundError:
            return None
        return next(map(int, children.split()), None)

    def _processes(self) -> list[int]:
        """All processes of the namespace."""
        try:
            namespace = os.readlink(f"/proc/{self._first()}/ns/pid")
        except FileNotFoundError:
            return []
        found = []
        for directory in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(directory / "ns/pid") == namespace:
                    found.append(int(directory.name))
        return found

    def _output(self, *command: str) -> str:
        environment = {**self.environment, "PATH": os.environ["PATH"], "HOME": str(self._directory)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        environment = {**self.environment, "PATH": os.environ["PATH"], "HOME": str(self._directory)}
        while True:
            if self.socket.exists():
                asked = subprocess.run(
                    self.buildx("inspect"), env=environment, capture_output=True, text=True, check=False
                )
                if "Status:" in asked.stdout and "running" in asked.stdout:
                    return
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self._directory / "log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"dockerd does not start here:\n{said}")
            time.sleep(0.05)


def _emulators(directory: Path) -> None:
    """BuildKit starts a foreign program through one of these if the machine itself emulates nothing.

    Debian's qemu does not hand itself on: what such a program executes fails, so a RUN may be one process only.
    """
    for machine in ("aarch64", "x86_64", "arm", "s390x", "ppc64le", "riscv64"):
        found = shutil.which(f"qemu-{machine}-static")
        if found and machine != os.uname().machine:
            shutil.copy(found, directory / f"buildkit-qemu-{machine}")


@contextlib.contextmanager
def running(**options: Any) -> Iterator[BuildKitDaemon]:
    """A daemon for the length of a `with`; the options are those of BuildKitDaemon."""
    with tempfile.TemporaryDirectory(prefix="polyarch-buildkit-") as directory:
        daemon = BuildKitDaemon(Path(directory) / "daemon", **options)
        try:
            yield daemon
        finally:
            daemon.close()
