"""Where it happens: a temporary directory, a registry on loopback with the bases in it."""

import gzip
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from bench import bases, packages
from bench.measure import Command, take
from scripts import busybox, debian, debian_root
from scripts.buildkit_daemon import BuildKitDaemon
from scripts.local_registry import LocalRegistry
from scripts.registry_process import RegistryProcess

TWO = ("linux/amd64", "linux/arm64")
EIGHT = tuple(debian.ARCHITECTURES)
POLYARCH = str(Path(sys.executable).parent / "polyarch")


class Site:
    """The place of one benchmark run. It owns the directory, the registry, the packages' server and BuildKit's daemon.

    `close()` removes and ends them.
    """

    def __init__(self, *, with_buildkit: bool = False) -> None:
        """with_buildkit: a workload that asks for BuildKit gets one, started when it asks."""
        self.directory = Path(tempfile.mkdtemp(prefix="polyarch-bench-"))
        self.log = self.directory / "log"
        self.registry = LocalRegistry(self.directory / "registry")
        self._names = 0
        self._with_buildkit = with_buildkit
        self._daemon: BuildKitDaemon | None = None
        self._packages: packages.PackageServer | None = None
        self._others: list[RegistryProcess] = []
        # Nobody's own configuration may decide what is measured.
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "LANG": "C.UTF-8"}

    def close(self) -> None:
        if self._daemon is not None:
            self._daemon.close()
        if self._packages is not None:
            self._packages.close()
        for server in (self.registry, *self._others):
            server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def also(self, server: RegistryProcess) -> None:
        """End this server, too, when the site is closed."""
        self._others.append(server)

    def fresh(self, kind: str) -> Path:
        """A path below the directory that nothing has yet."""
        self._names += 1
        return self.directory / f"{kind}-{self._names}"

    def name(self, repository: str, tag: str = "latest") -> str:
        """The reference of an image in the registry."""
        return f"{self.registry.address}/bench/{repository}:{tag}"

    def polyarch(self, root: Path, *arguments: str) -> Command:
        """The command with a store of its own."""
        return Command((POLYARCH, *arguments), {**self.environment, "POLYARCH_ROOT": str(root)})

    def run(self, *commands: Command) -> None:
        """Off the clock."""
        take(commands, self.log)

    def buildkit(self, *, emulating: bool = False) -> BuildKitDaemon | None:
        """BuildKit's daemon, if the benchmark is to have one.

        emulating: its RUNs for another processor can be more than one process.
        """
        if self._with_buildkit and self._daemon is None:
            self._daemon = BuildKitDaemon(self.fresh("buildkit"), emulating=emulating)
        return self._daemon

    def packages(self) -> str:
        """The URL of a server on loopback with the packages that `projects` install."""
        if self._packages is None:
            self._packages = packages.PackageServer(packages.fetched(bases.python_version()))
        return self._packages.url

    def versions(self) -> dict[str, str]:
        """Those of what the site has started, and PATH does not have."""
        return self._daemon.versions() if self._daemon is not None else {}

    @cache  # noqa: B019 (a site lives as long as the program)
    def debian(self) -> str:
        """The name of a whole Debian for two platforms, in the registry, as Polyarch makes it of plain tars."""
        return self._push("debian", debian_tars())

    @cache  # noqa: B019
    def foreign_debian(self) -> str:
        """The same with layers as docker pushes them: one gzip stream each, without a table of contents."""
        compressed = {}
        for platform, tar in debian_tars().items():
            compressed[platform] = self.fresh("layer").with_suffix(".tar.gz")
            with open(tar, "rb") as source, gzip.open(compressed[platform], "wb", compresslevel=6) as target:
                shutil.copyfileobj(source, target, 1 << 20)
        return self._push("foreign-debian", compressed)

    @cache  # noqa: B019
    def busybox(self, platforms: Sequence[str] = TWO) -> str:
        """The name of a busybox for these platforms, in the registry."""
        return self._push(f"busybox-{len(platforms)}", busybox.bases(platforms, busybox.cache_directory()))

    @cache  # noqa: B019
    def kept_base(self, name: str) -> str:
        """The name in the registry of a base with a package manager (see bench/bases.py), for two platforms.

        Its layers are as other tools push them, without a table of contents.
        """
        target = self.name(name)
        layout, plain = bases.store().root / "oci", self.fresh("plain")
        skopeo = ("skopeo", "--insecure-policy", "copy", "-q", "--all")
        self.run(
            Command(
                (*skopeo, "--dest-decompress", f"oci:{layout}:docker.io/library/{name}:latest", f"dir:{plain}"),
                self.environment,
            ),
            Command((*skopeo, "--dest-tls-verify=false", f"dir:{plain}", f"docker://{target}"), self.environment),
        )
        shutil.rmtree(plain)
        return target

    def _push(self, repository: str, tars: Mapping[str, Path]) -> str:
        name = self.name(repository)
        root = self.fresh("bases")
        for platform, tar in tars.items():
            self.run(self.polyarch(root, "import", "--platform", platform, str(tar), name))
        self.run(self.polyarch(root, "push", name))
        shutil.rmtree(root)
        return name


def debian_tars() -> dict[str, Path]:
    """The root file systems of Debian by platform."""
    return {platform: debian_root.base(platform, busybox.cache_directory()) for platform in TWO}
