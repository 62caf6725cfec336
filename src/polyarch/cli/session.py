"""What a command works with: the environment, the store, the registries, the terminal."""

import contextlib
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

import click

from polyarch.errors import PolyarchError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO, Literal

    from polyarch.buildflags import Surroundings
    from polyarch.cli.progress.display import Display
    from polyarch.client.environment import Environment
    from polyarch.oci.platform import Platform
    from polyarch.progress import Event
    from polyarch.registry import Registry
    from polyarch.store import Store
    from polyarch.transfer.locate import Places


class _Closing(Protocol):
    def close(self) -> None: ...


_T = TypeVar("_T", bound=_Closing)


class Session:
    """Opens the store and the registries on first use. It owns them, and closes them when the command ends.

    `is_docker` says that the program was called as docker, and `loads` what `--load` means (`Surroundings`).
    """

    is_docker = False
    loads: "Literal['', 'store', 'engine']" = ""

    def __init__(self, environment: "Environment", *, root: Path | None, debug: bool) -> None:
        self.environment = environment
        self.root = root or environment.root
        self.debug = debug
        self._resources = contextlib.ExitStack()
        self._store: Store | None = None
        self._registries: dict[bool, Registry] = {}
        # The value of --cache-limit.
        self.chosen_limit: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.__exit__(kind, error, trace)
        if self._store is not None and self._store.left:
            self._reclaim(self._store)

    def _reclaim(self, store: "Store") -> None:
        """Remove files that belong to subordinate ids, which only a process in their user namespace can."""
        from polyarch.sandbox import enter

        # If it cannot be entered, a later command that enters it removes the files.
        with contextlib.suppress(PolyarchError):
            enter(self.environment.search_path)
            store.maintenance.reclaim()

    def keep(self, opened: _T) -> _T:
        """Close `opened` when the command ends."""
        self._resources.callback(opened.close)
        return opened

    @property
    def store(self) -> "Store":
        """The store, which is created if it does not exist."""
        if self._store is None:
            self._store = self._resources.enter_context(self.new_store())
        return self._store

    def new_store(self) -> "Store":
        """The same store, opened once more. The caller closes it."""
        from polyarch.client import opening

        return opening.open_store(self.environment, self.root, self.cache_limit())

    def cache_limit(self) -> "int | Literal['default'] | None":
        """The size limit of the cache in bytes; None for no limit. Raises UsageError."""
        from polyarch.client import opening

        return opening.cache_limit(self.environment, self.root, self.chosen_limit)

    def registry(self, insecure: "Iterable[str]" = ()) -> "Registry":
        """The client for all registries. Hosts in `insecure` may use plain HTTP or an invalid certificate."""
        names = tuple(filter(None, insecure))
        existing = self._registries.get(bool(names))
        if existing is not None:
            return existing
        opened = self.new_registry(insecure=names)
        self._registries[bool(names)] = self._resources.enter_context(opened)
        return opened

    def new_registry(self, agent: str = "", insecure: "Iterable[str]" = ()) -> "Registry":
        """Another client, which the caller closes: with the configuration and the credentials of this moment. `agent`
        is added to its User-Agent.
        """
        from polyarch.client import opening
        from polyarch.registry import credentials

        around = self.environment
        first, *others = around.files.credentials
        stored = credentials.load(
            first, others=others, search_path=around.search_path, scoped=around.files.buildx / "config"
        )
        return opening.open_registry(around, stored, insecure, self.note if self.debug else None, agent)

    def places(self, insecure: "Iterable[str]" = ()) -> "Places":
        """The store, the registries and a way to open temporary files. For `insecure`, see `registry_for`."""
        from polyarch.transfer.locate import Places

        return Places(self.store, self.registry_for(insecure), self.spool)

    def registry_for(self, insecure: "Iterable[str]") -> "Registry":
        """The client for all registries. Hosts of the image names in `insecure` may be insecure, see `registry`."""
        return self.registry(_host(name) for name in insecure)

    def spool(self) -> "BinaryIO":
        """A temporary file for an archive that comes from a stream."""
        import tempfile

        # In the store, whose disk has space for images; /tmp is often in memory. The file has no name.
        return tempfile.TemporaryFile(dir=self.store.layout.temporary)

    def surroundings(self) -> "Surroundings":
        """The surroundings of a build: this process's environment, directory and streams."""
        import os

        from polyarch.buildflags import Surroundings

        # Relative paths stay as they were written, for messages. This fails where the directory has been removed.
        os.getcwd()
        return Surroundings(
            host=self.host(),
            variables=self.environment.variables,
            now=time.time(),
            stdin=sys.stdin.buffer,
            stdout=sys.stdout.buffer,
            workers=os.cpu_count() or 2,
            loads=self.loads,
            emulators=self.emulators(),
        )

    def emulators(self) -> "tuple[tuple[str, str], ...]":
        """The emulators that the configuration names: pairs of an architecture (GOARCH) and a path."""
        from polyarch.client import configuration

        return configuration.emulators(self.environment.files.polyarch)

    def host(self) -> "Platform":
        """The platform of this machine."""
        import os

        from polyarch.oci import platform

        return platform.of_machine(os.uname().machine)

    def platforms(self, texts: "Iterable[str]") -> "tuple[Platform, ...]":
        """The platforms in the values of `--platform`. Raises UsageError."""
        from polyarch.oci import platform

        return platform.parse_list(texts, self.host())

    def platform(self, text: str | None) -> "Platform | None":
        """The platform of `--platform`, else of DOCKER_DEFAULT_PLATFORM, else None. Raises UsageError for several."""
        from polyarch.errors import UsageError

        chosen = self.platforms([text or self.environment.default_platform])
        if len(chosen) > 1:
            raise UsageError("--platform takes one platform here", "run the command once for each platform")
        return chosen[0] if chosen else None

    def display(self, mode: str | None = None, *, verb: str = "Building") -> "Display":
        """The display of progress on standard error, in the mode of --progress or else of the environment."""
        from polyarch.cli.progress.display import Display

        terminal = self.environment.terminal
        return Display(mode or terminal.progress, sys.stderr, colour=terminal.colour, dumb=terminal.dumb, verb=verb)

    def node(self, builder: str | None = None) -> str:
        """BUILDER/NODE for the references of builds: of this builder, else of BUILDX_BUILDER; empty without one."""
        from polyarch.cli import refs

        return refs.node_of(builder or self.environment.variables.get("BUILDX_BUILDER", ""))

    def now(self) -> float:
        """The current time in seconds since 1970; SOURCE_DATE_EPOCH if it is set."""
        return time.time() if self.environment.source_date_epoch is None else self.environment.source_date_epoch

    def timestamp(self) -> str:
        """`now` in RFC 3339, the format of an image config."""
        now = self.now()
        fraction = f".{int(now % 1 * 1e9):09d}".rstrip("0").rstrip(".")
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + fraction + "Z"

    def note(self, line: str) -> None:
        """Print a line on standard error."""
        click.echo(line, err=True)

    def error(self, error: PolyarchError) -> None:
        """Print an error, for a command that continues or chooses its own exit status."""
        self.note(f"polyarch: error: {error.message}")
        if error.hint:
            self.note(f"hint: {error.hint}")

    def warn_of(self, event: "Event") -> None:
        """Print an event of a run or a copy if it is a warning."""
        from polyarch.progress import Warned

        if isinstance(event, Warned):
            self.warn(event.message, event.detail)

    def warn(self, message: str, detail: str = "") -> None:
        """Print a warning on standard error."""
        self.note(f"WARNING: {message}")
        if detail:
            self.note("\n".join(f"  {line}" for line in detail.splitlines()))


def _host(name: str) -> str:
    """The registry of an image name, which may have a scheme; empty if it is not a name."""
    from polyarch.errors import UsageError
    from polyarch.oci import reference as references

    try:
        return references.parse(name.rpartition("://")[2]).domain
    except UsageError:
        return ""


pass_session = click.make_pass_decorator(Session)
