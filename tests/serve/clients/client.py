"""What a client is asked for, and what it finds where it runs."""

import functools
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from scripts import busybox, debian, debian_root
from tests.needs import missing
from tests.program import Result, run
from tests.serve.clients.layout import Layout
from tests.serve.contents import Where

# Debian's newest: its oras reads indexes, and no older Debian has crane.
NEWEST = ("crane", "oras", "skopeo", "containerd")


class Client(ABC):
    """A program with a home and a store of its own. `close` ends what it started.

    `makes_index`: it sends the images of the layout in an index that it makes itself. `platform`: it keeps one platform
    of an index, and compresses layers again when it sends them.
    """

    name: ClassVar[str]
    makes_index: ClassVar[bool] = False
    platform: ClassVar[str] = ""
    quick: ClassVar[bool] = False

    def __init__(self, directory: Path, where: Where) -> None:
        self.directory = directory
        self.where = where
        directory.mkdir(parents=True)
        self.env = {
            "HOME": str(directory),
            "LANG": "C.UTF-8",
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
            "REGISTRY_AUTH_FILE": str(directory / "auth.json"),
            "DOCKER_CONFIG": str(directory / "docker"),
            "TMPDIR": str(directory / "tmp"),
        }
        (directory / "tmp").mkdir()
        # Some will not begin without the file that they are told of.
        (directory / "auth.json").write_text("{}")
        if where.authority:
            # What programs in Go read instead of the machine's authorities.
            self.env["SSL_CERT_FILE"] = str(where.authority)

    def at(self, repository: str) -> str:
        """The reference of a repository, or with `:tag` of an image."""
        return f"{self.where.address}/{repository}"

    @abstractmethod
    def login(self) -> None:
        """Log in with the name and password of the registry."""

    @abstractmethod
    def push(self, layout: Layout, image: str) -> None:
        """Send the index of a layout with all its platforms to `repository:tag`."""

    @abstractmethod
    def pull(self, image: str, layout: Layout) -> set[str]:
        """Fetch all platforms of `repository:tag` into nothing. Returns the digests of what came."""

    def tags(self, repository: str) -> list[str] | None:
        """The tags of a repository, None if the program cannot tell."""
        return None

    def copy(self, source: str, target: str) -> bool:
        """Copy from one repository to another. Whether the program can."""
        return False

    def delete(self, image: str) -> bool:
        """Remove `repository:tag` from the registry. Whether the program can."""
        return False

    def refer(self, image: str) -> set[str] | None:
        """Attach something to an image. Returns the digests that are found as its referrers; None: it cannot."""
        return None

    def version(self) -> str:
        return self.run("--version").stdout.splitlines()[0]

    def close(self) -> None:  # noqa: B027 (most start nothing)
        """End what it started. Safe to call twice."""

    @abstractmethod
    def command(self) -> Iterable[str | Path]:
        """How the program starts."""

    def run(self, *words: str | Path, stdin: str = "", env: Mapping[str, str] | None = None) -> Result:
        """Run the program. Raises AssertionError with what it said."""
        return run([*self.command(), *words], cwd=self.directory, env={**self.env, **(env or {})}, stdin=stdin)

    def fresh(self) -> Path:
        """An empty directory for what is pulled."""
        path = self.directory / "pulled"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path


@functools.cache
def newest() -> Path:
    """The root with Debian's newest programs. Without it the test ends."""
    try:
        return debian_root.root("sid", NEWEST, busybox.cache_directory())
    except debian.UnavailableError as error:
        missing(f"needs {', '.join(NEWEST)} of Debian sid: {error}")
