"""The settings that Polyarch takes from the environment. No other module reads it.

`execute` takes the variables once for each run of the program; everything else is derived from them.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec


class ConfigFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Where configuration is looked for. The files and directories may not exist.

    `credentials` are docker's and podman's files; `login` writes the first. Of `registries` (containers'
    registries.conf) and of `polyarch` (our own) only the first existing file counts. `certificates` are directories
    that hold a directory for each host. `buildx` is the directory of buildx.
    """

    credentials: tuple[Path, ...]
    registries: tuple[Path, ...]
    certificates: tuple[Path, ...]
    polyarch: tuple[Path, ...]
    buildx: Path


class ProxySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The proxies for http and https URLs, empty for none, and the hosts that are reached without one."""

    http: str
    https: str
    bypass: tuple[str, ...]


class TerminalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How output may look. `dumb` says that the terminal cannot move its cursor; `progress` is the default mode."""

    colour: bool
    dumb: bool
    progress: str


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a command.

    `root` is the directory of the store and `cache_limit` the value of POLYARCH_CACHE_LIMIT. A layer may unpack to
    `largest_layer` bytes.
    """

    root: Path
    search_path: str
    files: ConfigFiles
    proxies: ProxySettings
    terminal: TerminalSettings
    default_platform: str
    source_date_epoch: int | None
    largest_layer: int
    cache_limit: str
    variables: Mapping[str, str]


def clock() -> float:
    """The time in seconds since 1970."""
    return time.time()


def variables() -> Mapping[str, str]:
    """The variables of this process, as they are now."""
    return dict(os.environ)


def read(variables: Mapping[str, str], uid: int | None = None) -> Environment:
    """The settings that `variables` give the user `uid` (None: the user of this process). Raises UsageError."""
    get = variables.get
    user = os.getuid() if uid is None else uid
    home = Path(get("HOME") or ("/root" if user == 0 else "/"))
    return Environment(
        root=_root(get("POLYARCH_ROOT"), get("XDG_DATA_HOME"), home, user),
        search_path=get("PATH") or _default_path(),
        files=_files(variables, home, user),
        proxies=ProxySettings(
            http=_proxy(variables, "http_proxy"),
            https=_proxy(variables, "https_proxy"),
            bypass=tuple(filter(None, _proxy(variables, "no_proxy").replace(" ", ",").split(","))),
        ),
        terminal=terminal(variables),
        default_platform=get("DOCKER_DEFAULT_PLATFORM") or "",
        source_date_epoch=_epoch(variables),
        largest_layer=_largest_layer(get("POLYARCH_MAX_LAYER_SIZE")),
        cache_limit=get("POLYARCH_CACHE_LIMIT") or "",
        variables=variables,
    )


def terminal(variables: Mapping[str, str]) -> TerminalSettings:
    """The part of the settings that errors are printed with. It raises none itself."""
    dumb = variables.get("TERM") == "dumb"
    return TerminalSettings(
        colour=not variables.get("NO_COLOR") and not dumb,
        dumb=dumb,
        progress=variables.get("BUILDKIT_PROGRESS") or variables.get("POLYARCH_PROGRESS") or "auto",
    )


def _root(chosen: str | None, data: str | None, home: Path, user: int) -> Path:
    if chosen:
        return Path(chosen)
    # As containers-storage: root's images belong to the machine, a user's images to the user.
    if user == 0:
        return Path("/var/lib/polyarch")
    return Path(data or home / ".local/share") / "polyarch"


def _files(variables: Mapping[str, str], home: Path, user: int) -> ConfigFiles:
    config = Path(variables.get("XDG_CONFIG_HOME") or home / ".config")
    docker = Path(variables.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
    runtime = variables.get("XDG_RUNTIME_DIR") or f"/run/user/{user}"
    credentials = variables.get("REGISTRY_AUTH_FILE")
    registries = variables.get("CONTAINERS_REGISTRIES_CONF")
    return ConfigFiles(
        credentials=(Path(credentials),)
        if credentials
        else (docker, Path(runtime) / "containers/auth.json", config / "containers/auth.json"),
        registries=(Path(registries),)
        if registries
        else (config / "containers/registries.conf", Path("/etc/containers/registries.conf")),
        certificates=(
            config / "containers/certs.d",
            config / "docker/certs.d",
            Path("/etc/containers/certs.d"),
            Path("/etc/docker/certs.d"),
        ),
        buildx=Path(variables.get("BUILDX_CONFIG") or docker.parent / "buildx"),
        polyarch=(config / "polyarch/config.toml", Path("/etc/polyarch/config.toml")),
    )


def _proxy(variables: Mapping[str, str], name: str) -> str:
    value = variables.get(name)
    # A web server that starts this as CGI sets HTTP_PROXY from the header Proxy of a request (CVE-2016-5385).
    if value is None and not (name == "http_proxy" and "REQUEST_METHOD" in variables):
        value = variables.get(name.upper())
    return value or (variables.get("all_proxy", "") if name != "no_proxy" else "")


def _largest_layer(text: str | None) -> int:
    if not text:
        return 100 << 30
    from polyarch.buildflags import size

    return size.bytes_of(text)


def _epoch(variables: Mapping[str, str]) -> int | None:
    if not variables.get("SOURCE_DATE_EPOCH"):
        return None
    # Imported only here: planning a build is more than most commands need.
    from polyarch.builder.plan.options import epoch_of

    return epoch_of(variables)


def _default_path() -> str:
    from polyarch.oci.config import DEFAULT_PATH

    return DEFAULT_PATH
