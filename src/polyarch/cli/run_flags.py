"""Parse docker's flags for a container: variables, rights, hosts. `run_mounts` and `run_ports` parse others."""

import codecs
import ipaddress
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from polyarch.errors import ConflictError, NotFoundError, PolyarchError, UnsupportedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from polyarch.sandbox import RunSettings
    from polyarch.sandbox.limits import Limits
    from polyarch.sandbox.rights import Rights

_MOST_CPUS = 1 << 16
_ENV_FILE_HINT = "--env-file takes lines of NAME=VALUE"


def env(pairs: "Iterable[str]", ours: "Mapping[str, str]") -> list[str]:
    """The variables of `--env` as NAME=VALUE. Raises UsageError for a pair without a name.

    NAME alone has its value in `ours`, and is left out if it is not set there, as in docker.
    """
    variables = [pair if "=" in pair else f"{pair}={ours[pair]}" for pair in pairs if "=" in pair or pair in ours]
    for variable in variables:
        if variable.startswith("="):
            raise UsageError(f"invalid variable {variable!r}", "expected NAME=VALUE")
    return variables


def env_files(files: "Iterable[str]", ours: "Mapping[str, str]") -> list[str]:
    """The variables in the files of `--env-file`, as `env`. Raises NotFoundError, UsageError with file and line."""
    variables: list[str] = []
    for file in files:
        try:
            content = Path(file).read_bytes()
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no file {file}", _ENV_FILE_HINT) from error
        for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
            variables += _line(line.removesuffix(b"\r"), f"{file}:{number}", ours)
    return variables


def _line(raw: bytes, where: str, ours: "Mapping[str, str]") -> list[str]:
    """The variable in one line, by docker's rules: blanks before the name are ignored, the value is taken unchanged."""
    try:
        line = raw.decode().lstrip()
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: the line is not UTF-8", _ENV_FILE_HINT) from error
    if not line or line.startswith("#"):
        return []
    name, equals, _ = line.partition("=")
    if not name:
        raise UsageError(f"{where}: {line!r} has no name before =", _ENV_FILE_HINT)
    if any(character.isspace() for character in name):
        hint = "the file is not a shell script: omit export" if name.startswith("export ") else "write NAME=VALUE"
        raise UsageError(f"{where}: the name {name!r} has a blank in it", hint)
    return env((line,), ours) if equals or name in ours else []


def rights(words: "Mapping[str, Any]") -> "Rights":
    """The rights of `--cap-add`, `--cap-drop`, `--group-add` and `--security-opt`. Raises UsageError."""
    from polyarch.sandbox.rights import Rights, parse_capabilities

    fixed = unfiltered = False
    for word in words["security_opts"]:
        key, _, value = word.partition("=") if "=" in word else word.partition(":")
        if key == "no-new-privileges" and value in ("", "true", "false"):
            fixed = value != "false"
        elif key == "seccomp" and value in ("unconfined", "builtin"):
            unfiltered = value == "unconfined"
        elif key == "seccomp" and value:
            raise UnsupportedError(
                f"--security-opt {word} is not supported: there is one profile, docker's default",
                "seccomp=unconfined lifts it",
            )
        elif key not in ("apparmor", "label") or not value:
            # Nothing here is confined by AppArmor or SELinux, so nothing has to be lifted.
            raise UsageError(
                f"--security-opt: unknown option {word!r}",
                "known: no-new-privileges, seccomp=unconfined, apparmor, label",
            )
    return Rights(
        added=parse_capabilities("--cap-add", words["cap_add"]),
        dropped=parse_capabilities("--cap-drop", words["cap_drop"]),
        groups=words["groups"],
        fixed=fixed,
        unfiltered=unfiltered,
    )


def limits(words: "Mapping[str, Any]") -> "Limits":
    """The limits of `--memory`, `--cpus` and their like. Raises UsageError."""
    from polyarch.buildflags.size import bytes_of
    from polyarch.sandbox.limits import Limits

    memory = bytes_of(words["memory"], memory=True) if words["memory"] else 0
    given = words["memory_swap"]
    swap = 0 if not given else -1 if given == "-1" else bytes_of(given, memory=True)
    if swap > 0 and (not memory or swap < memory):
        raise UsageError(
            "--memory-swap is memory and swap together, so it is not below --memory", "give --memory, or a larger value"
        )
    try:
        cpus = float(words["cpus"] or 0)
    except ValueError:
        cpus = -1.0
    if not 0 <= cpus <= _MOST_CPUS or (words["cpus"] and not cpus):
        raise UsageError(f"--cpus {words['cpus']}: it is not a number of processors", "as in --cpus 1.5")
    if words["cpuset_cpus"] and not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", words["cpuset_cpus"], re.ASCII):
        raise UsageError(f"--cpuset-cpus {words['cpuset_cpus']}: it is not a list of processors", "as in 0-2,4")
    return Limits(
        memory=memory,
        swap=swap,
        cpus=cpus,
        shares=words["cpu_shares"],
        pids=max(words["pids_limit"], 0),
        cpuset=words["cpuset_cpus"],
    )


def settings(words: "Mapping[str, Any]", network: "Literal['host', 'none', 'private']") -> "RunSettings":
    """The settings of `--network`, `--add-host`, `--shm-size`, `--ulimit` and `--emulated-cpu`. Raises UsageError."""
    from polyarch.buildflags import run
    from polyarch.sandbox import outgoing

    hosts = words["hosts"]
    if network == "private":
        gateway = "host-gateway"
        hosts = [f"{host.removesuffix(gateway)}{outgoing.GATEWAY}" if is_gateway(host) else host for host in hosts]
    flags: run.RunFlags = {"hosts": hosts, "shm_size": words["shm_size"], "ulimits": words["ulimits"]}
    flags["emulated_cpus"] = words["emulated_cpus"]
    flags["network"] = "none" if network == "none" else "host"
    return run.settings(flags)


def is_gateway(host: str) -> bool:
    """Whether a value of `--add-host` names this machine."""
    return host.endswith((":host-gateway", "=host-gateway"))


def resolver(words: "Mapping[str, Any]") -> bytes | None:
    """The /etc/resolv.conf of `--dns`, `--dns-search` and `--dns-option`; None without them. Raises UsageError."""
    servers, domains, options = words["dns"], words["dns_search"], words["dns_options"]
    if not (servers or domains or options):
        return None
    for server in servers:
        try:
            ipaddress.ip_address(server)
        except ValueError as error:
            raise UsageError(f"--dns {server}: it is not an address", "as in --dns 1.1.1.1") from error
    lines = [f"nameserver {server}" for server in servers] or _own_servers()
    lines += [f"search {' '.join(domains)}"] if domains and domains != (".",) else []
    lines += [f"options {' '.join(options)}"] if options else []
    return "".join(f"{line}\n" for line in lines).encode()


def _own_servers() -> list[str]:
    try:
        text = Path("/etc/resolv.conf").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.startswith("nameserver")]


def write_cidfile(path: str) -> str:
    """Write a new id of a container to `path`, and return it. Raises ConflictError if the file exists."""
    name = secrets.token_hex(32)
    try:
        with open(path, "x", encoding="ascii") as file:
            file.write(name)
    except FileExistsError as error:
        raise ConflictError(
            f"the file {path} of --cidfile exists", "make sure that no other container uses it, and remove it"
        ) from error
    except OSError as error:
        raise PolyarchError(f"cannot write {path} of --cidfile: {error.strerror}") from error
    return name


def check_labels(labels: "Iterable[str]", files: "Iterable[str]") -> None:
    """Raise UsageError for a label without a key; the labels end with the container."""
    for label in labels:
        if not label or label.startswith("="):
            raise UsageError(f"--label {label!r} has no key", "expected KEY=VALUE")
    for file in files:
        if not Path(file).exists():
            raise NotFoundError(f"there is no file {file}", "--label-file takes lines of KEY=VALUE")
