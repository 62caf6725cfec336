"""Flags of docker that Polyarch has no use for: those without effect on the result are noted, the others refused.

docs/reference/docker-flags.md lists them with all others; `tests/cli/test_docker_flags.py` tries each of its rows.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

import click

from polyarch.errors import UnsupportedError, UsageError

F = TypeVar("F", bound=Callable[..., Any])


class DockerFlag(NamedTuple):
    """Flags that are treated alike. `takes` says whether they have a value."""

    names: tuple[str, ...]
    treatment: Literal["taken", "noted", "refused"]
    why: str = ""
    takes: bool = True


_LIMITS = "limits of a builder's containers: a RUN is a process of this command, and has the limits of this command"
_DAEMON = "there is no daemon"
_DETACHED = "a container is a process of this command, and ends with it"
_NETWORK = "a container has this machine's network, so its ports are reached without it"
_RIGHTS = "a container has the rights of the user who runs it, no more and no less"

FLAGS: Mapping[str, tuple[DockerFlag, ...]] = {
    "build": (
        DockerFlag(("--rm", "--force-rm", "--compress"), "taken", takes=False),
        DockerFlag(("--debug", "-D"), "taken", takes=False),
        DockerFlag(("--resource",), "noted", _LIMITS),
        DockerFlag(("--memory", "-m"), "noted", _LIMITS),
        DockerFlag(("--memory-swap",), "noted", _LIMITS),
        DockerFlag(("--cpu-shares", "-c"), "noted", _LIMITS),
        DockerFlag(("--cpu-period",), "noted", _LIMITS),
        DockerFlag(("--cpu-quota",), "noted", _LIMITS),
        DockerFlag(("--cpuset-cpus",), "noted", _LIMITS),
        DockerFlag(("--cpuset-mems",), "noted", _LIMITS),
        DockerFlag(("--isolation",), "noted", "a RUN is isolated by namespaces"),
        DockerFlag(("--security-opt",), "noted", "RUN --security=insecure is the way in a Dockerfile"),
        DockerFlag(("--disable-content-trust",), "noted", "images are known by their digests", takes=False),
        DockerFlag(("--squash",), "refused", "layers stay as the steps made them; use several stages", takes=False),
    ),
    "pull": (DockerFlag(("--disable-content-trust",), "noted", "images are known by their digests", takes=False),),
    "push": (DockerFlag(("--disable-content-trust",), "noted", "images are known by their digests", takes=False),),
    "run": (
        DockerFlag(("--init", "--oom-kill-disable"), "noted", _DETACHED, takes=False),
        DockerFlag(("--name", "--cidfile", "--label", "-l", "--label-file"), "noted", _DETACHED),
        DockerFlag(("--log-driver", "--log-opt", "--restart", "--stop-signal", "--stop-timeout"), "noted", _DETACHED),
        DockerFlag(("--publish", "-p", "--expose"), "noted", _NETWORK),
        DockerFlag(("--publish-all", "-P"), "noted", _NETWORK, takes=False),
        DockerFlag(("--memory", "-m", "--memory-swap", "--memory-reservation", "--kernel-memory"), "noted", _LIMITS),
        DockerFlag(("--cpus", "--cpu-shares", "--cpu-period", "--cpu-quota"), "noted", _LIMITS),
        DockerFlag(("--cpuset-cpus", "--cpuset-mems", "--pids-limit", "--cgroup-parent"), "noted", _LIMITS),
        DockerFlag(("--detach", "-d"), "refused", f"{_DAEMON} that keeps containers", takes=False),
        DockerFlag(("--privileged",), "refused", _RIGHTS, takes=False),
        DockerFlag(("--cap-add", "--cap-drop", "--security-opt", "--device", "--gpus"), "refused", _RIGHTS),
        DockerFlag(("--tmpfs", "--mount", "--volumes-from"), "refused", "only -v SOURCE:TARGET mounts"),
        DockerFlag(("--add-host", "--dns", "--link", "--ip"), "refused", "a container has this machine's network"),
        DockerFlag(("--pid", "--ipc", "--uts", "--userns"), "refused", "a container has namespaces of its own"),
        DockerFlag(("--ulimit", "--sysctl", "--shm-size"), "refused", "a container has the limits of this command"),
    ),
}


def docker_flags(command: str) -> Callable[[F], F]:
    """The flags of docker for this command, as hidden options."""

    def decorate(function: F) -> F:
        for flag in FLAGS[command]:
            for names in _spellings(flag.names):
                function = click.option(
                    *names,
                    f"_docker_{names[0].strip('-').replace('-', '_')}",
                    hidden=True,
                    expose_value=False,
                    # Not False: click would take a word that begins with a hyphen for the next flag.
                    is_flag=None if flag.takes else True,
                    multiple=flag.takes,
                    callback=_treated(flag, names[0]),
                )(function)
        return function

    return decorate


def policy(function: F) -> F:
    """`--policy`: no policy is enforced, so a file with one is refused."""

    def check(context: click.Context, parameter: click.Parameter, words: tuple[str, ...]) -> None:
        from polyarch import csvfields

        if len(words) > 1 and any("disabled" in word for word in words):
            raise UsageError("--policy disabled=true cannot be used with another --policy", "leave out one of them")
        for word in words:
            try:
                parts = csvfields.fields(word)
            except csvfields.CsvError as error:
                raise UsageError(
                    f"invalid --policy {word!r}: {error}", "expected disabled=true or reset=true"
                ) from None
            for part in parts:
                key, _, value = part.partition("=")
                if key not in ("reset", "disabled", "strict", "log-level", "filename") or not value:
                    raise UsageError(f"invalid --policy {word!r}", "expected disabled=true or reset=true")
                if key == "filename" or (key in ("disabled", "reset") and value.lower() not in ("1", "t", "true")):
                    raise UnsupportedError(
                        f"--policy {word}: policies are not enforced", "leave it out, or use --policy disabled=true"
                    )

    return click.option("--policy", multiple=True, hidden=True, expose_value=False, callback=check)(function)


def _spellings(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Each long name, with the short one that follows it."""
    found: list[tuple[str, ...]] = []
    for name in names:
        if name.startswith("--") or not found:
            found.append((name,))
        else:
            found[-1] += (name,)
    return found


def _require_same_port(text: str) -> None:
    """Refuse `[ADDRESS:]HOST:CONTAINER` unless the ports are equal and every address is meant: the container listens
    on this machine itself, so another port or address would be promised and not there.
    """
    *host, container = text.partition("/")[0].split(":")
    if (host and (host[-1] or container) != container) or "".join(host[:-1]) not in ("", "0.0.0.0", "[]"):
        raise UnsupportedError(
            f"--publish {text} is not supported: {_NETWORK}",
            f"the program listens on this machine as it does in the container, on port {container}",
        )


def _treated(flag: DockerFlag, name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def treat(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if not value or flag.treatment == "taken":
            return
        if flag.treatment == "refused":
            raise UnsupportedError(f"{name} is not supported: {flag.why}")
        if name == "--publish":
            for port in [value] if isinstance(value, str) else value:
                _require_same_port(port)
        click.echo(f"{name} has no effect: {flag.why}", err=True)

    return treat
