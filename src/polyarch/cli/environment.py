"""What this program takes from the environment, read once. Nothing below cli/ looks at it."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from polyarch.errors import UsageError


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The settings around a command. Paths may name files that do not exist.

    `registries_files` are containers' registries.conf in the order in which the first existing one counts;
    `certificate_directories` hold a directory a host; `credential_files` are docker's and podman's, the first
    being the one that `login` writes. `largest_layer` is how many bytes a layer may unpack to. `cache_limit` is what
    POLYARCH_CACHE_LIMIT says, `config_files` are Polyarch's own in the order in which the first existing one counts.
    """

    home: Path
    root: Path
    search_path: str
    credential_files: tuple[Path, ...]
    registries_files: tuple[Path, ...]
    certificate_directories: tuple[Path, ...]
    http_proxy: str
    https_proxy: str
    no_proxy: tuple[str, ...]
    colour: bool
    progress: str
    default_platform: str
    source_date_epoch: int | None
    largest_layer: int
    cache_limit: str
    config_files: tuple[Path, ...]
    ci: bool
    variables: Mapping[str, str]


def read(variables: Mapping[str, str] | None = None, uid: int | None = None) -> Environment:
    """The settings in `variables` (the process's own where None), for the user `uid`."""
    variables = os.environ if variables is None else variables
    get = variables.get
    user = os.getuid() if uid is None else uid
    home = Path(get("HOME") or ("/root" if user == 0 else "/"))
    config = Path(get("XDG_CONFIG_HOME") or home / ".config")
    return Environment(
        home=home,
        root=_root(get("POLYARCH_ROOT"), get("XDG_DATA_HOME"), home, user),
        search_path=get("PATH") or "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        credential_files=_credential_files(variables, home, config, user),
        registries_files=_registries_files(get("CONTAINERS_REGISTRIES_CONF"), config),
        certificate_directories=(
            config / "containers/certs.d",
            config / "docker/certs.d",
            Path("/etc/containers/certs.d"),
            Path("/etc/docker/certs.d"),
        ),
        http_proxy=_proxy(variables, "http_proxy"),
        https_proxy=_proxy(variables, "https_proxy"),
        no_proxy=tuple(filter(None, _proxy(variables, "no_proxy").replace(" ", ",").split(","))),
        colour=not get("NO_COLOR") and get("TERM") != "dumb",
        progress=get("BUILDKIT_PROGRESS") or get("POLYARCH_PROGRESS") or "auto",
        default_platform=get("DOCKER_DEFAULT_PLATFORM") or "",
        source_date_epoch=_epoch(get("SOURCE_DATE_EPOCH")),
        largest_layer=_largest_layer(get("POLYARCH_MAX_LAYER_SIZE")),
        cache_limit=get("POLYARCH_CACHE_LIMIT") or "",
        config_files=(config / "polyarch/config.toml", Path("/etc/polyarch/config.toml")),
        ci=bool(get("CI")),
        variables=dict(variables),
    )


def _root(chosen: str | None, data: str | None, home: Path, user: int) -> Path:
    if chosen:
        return Path(chosen)
    # As containers-storage has it: root's images belong to the machine, a user's to the user.
    if user == 0:
        return Path("/var/lib/polyarch")
    return Path(data or home / ".local/share") / "polyarch"


def _credential_files(variables: Mapping[str, str], home: Path, config: Path, user: int) -> tuple[Path, ...]:
    chosen = variables.get("REGISTRY_AUTH_FILE")
    if chosen:
        return (Path(chosen),)
    docker = Path(variables.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
    runtime = variables.get("XDG_RUNTIME_DIR") or f"/run/user/{user}"
    return (docker, Path(runtime) / "containers/auth.json", config / "containers/auth.json")


def _registries_files(chosen: str | None, config: Path) -> tuple[Path, ...]:
    if chosen:
        return (Path(chosen),)
    return (config / "containers/registries.conf", Path("/etc/containers/registries.conf"))


def _proxy(variables: Mapping[str, str], name: str) -> str:
    value = variables.get(name)
    # HTTP_PROXY in capitals can be set by a request where a web server starts this (CVE-2016-5385).
    if value is None and not (name == "http_proxy" and "REQUEST_METHOD" in variables):
        value = variables.get(name.upper())
    return value or (variables.get("all_proxy", "") if name != "no_proxy" else "")


def _largest_layer(text: str | None) -> int:
    from polyarch.cli import sizes

    return sizes.bytes_of(text) if text else 100 << 30


def _epoch(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isdigit():
        raise UsageError(f"SOURCE_DATE_EPOCH is {text!r}", "it is a number of seconds since 1970, as 'date +%s' prints")
    return int(text)
