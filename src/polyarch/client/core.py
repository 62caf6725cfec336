"""What the parts of a client share: settings, progress, clock, working directory, and access to the store."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.client import arguments, environment
from polyarch.client.arguments import StrPath
from polyarch.client.settings import ClientSettings, opened
from polyarch.errors import NotFoundError, UsageError
from polyarch.oci import platform as platforms
from polyarch.registry.credentials import Credential
from polyarch.secret import Variables

if TYPE_CHECKING:
    from polyarch.client.jobs import Kind
    from polyarch.oci.platform import Platform
    from polyarch.transfer.locate import Places


# The keys of `proxies`, as in requests, and the variables that they are.
_PROXIES = {"http": "http_proxy", "https": "https_proxy", "no_proxy": "no_proxy"}


class ClientCore:
    """The state of a client. All threads may use it.

    The store and the registries are opened for each call and closed after it. A client that lives for days so holds no
    lock and no lease on content between calls, and does not rely on what a registry had a day ago.
    """

    def __init__(self, settings: ClientSettings, emit: progress.Emit, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.emit = emit
        self.closed = False
        self._clock = clock
        self.host: Platform = platforms.of_machine(os.uname().machine)

    def directory(self) -> Path:
        """The working directory. Relative paths are relative to it."""
        return Path.cwd()

    def now(self) -> float:
        """The time of the clock. SOURCE_DATE_EPOCH is for images, not for the history of builds."""
        return self._clock()

    @contextmanager
    def places(self) -> Iterator["Places"]:
        """The store and the registries, for one call."""
        self.require_open()
        with opened(self.settings) as places:
            yield places
        if places.store.left:
            self.work("reclaim", None)

    def work(self, kind: "Kind", request: object) -> object:
        """The result of a job in a worker process."""
        from polyarch.client import worker

        self.require_open()
        return worker.perform(kind, self.settings, request, self.emit)

    def require_open(self) -> None:
        """Raises UsageError if the client is closed."""
        if self.closed:
            raise UsageError("this client is closed", "make another: Polyarch()")


def settings_of(
    root: StrPath | None,
    variables: Mapping[str, str] | None,
    registries: StrPath | None,
    certificates: StrPath | Iterable[StrPath],
    proxies: Mapping[str, str] | None,
    credentials: Mapping[str, Credential] | None,
    insecure: str | Iterable[str],
    cache_limit: str | None,
) -> ClientSettings:
    """The settings of a client. The environment gives those that are not in the arguments."""
    around = dict(
        environment.variables() if variables is None else arguments.pairs("environment", variables, secret=True)
    )
    read = environment.read(Variables(around if proxies is None else _with_proxies(around, proxies)))
    files = read.files
    if registries is not None:
        files = msgspec.structs.replace(files, registries=(arguments.path("registries", registries, Path.cwd),))
        _require("registries", files.registries)
    extra = arguments.paths("certificates", certificates, Path.cwd)
    _require("certificates", extra)
    files = msgspec.structs.replace(files, certificates=(*extra, *files.certificates))
    place = arguments.path("root", read.root if root is None else root, Path.cwd)
    given = {} if credentials is None else credentials
    if not isinstance(given, Mapping):
        arguments.refuse("credentials", given, "a mapping of hosts to Credentials", secret=True)
    for host, credential in given.items():
        if not isinstance(credential, Credential):
            arguments.refuse(f"credentials[{host!r}]", credential, "a Credential for each host", secret=True)
    return ClientSettings(
        environment=msgspec.structs.replace(read, root=place, files=files),
        credentials=dict(given),
        insecure=arguments.texts("insecure", insecure),
        cache_limit=None if cache_limit is None else arguments.text("cache_limit", cache_limit),
    )


def _require(name: str, paths: Iterable[Path]) -> None:
    """Raise NotFoundError for a path that does not exist: hosts would be trusted that the caller did not name."""
    for path in paths:
        if not path.exists():
            raise NotFoundError(f"{name}: {path} does not exist", "name an existing path, or leave the parameter out")


def _with_proxies(variables: Mapping[str, str], proxies: Mapping[str, str]) -> dict[str, str]:
    """The variables with these proxies in the place of their own."""
    if not isinstance(proxies, Mapping):
        arguments.refuse("proxies", proxies, "a mapping of str to str", secret=True)
    kept = {name: value for name, value in variables.items() if not name.lower().endswith("_proxy")}
    for key, value in proxies.items():
        if key not in _PROXIES:
            raise UsageError(f"proxies has no {key!r}", f"there are {', '.join(_PROXIES)}")
        if not isinstance(value, str):
            arguments.refuse(f"proxies[{key!r}]", value, "a URL, or for no_proxy hosts", secret=True)
        kept[_PROXIES[key]] = value
    return kept


clock = environment.clock
