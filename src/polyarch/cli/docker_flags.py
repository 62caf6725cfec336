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
_BACKGROUND = f"{_DAEMON} that keeps containers: use podman, or docker after 'polyarch save NAME | docker load'"
_HEALTH = "a container in the foreground is watched by nothing"
_NETWORKS = "a container is alone in its network"
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
        DockerFlag(("--sig-proxy",), "taken", takes=False),
        DockerFlag(("--detach-keys", "--attach", "-a"), "taken"),
        DockerFlag(("--no-healthcheck",), "taken", takes=False),
        DockerFlag(("--health-cmd", "--health-interval", "--health-retries"), "noted", _HEALTH),
        DockerFlag(("--health-timeout", "--health-start-period", "--health-start-interval"), "noted", _HEALTH),
        DockerFlag(("--oom-kill-disable",), "noted", _DETACHED, takes=False),
        DockerFlag(("--log-driver", "--log-opt", "--restart", "--annotation"), "noted", _DETACHED),
        DockerFlag(("--memory-reservation", "--kernel-memory", "--memory-swappiness"), "noted", _LIMITS),
        DockerFlag(("--oom-score-adj", "--blkio-weight", "--cpu-period", "--cpu-quota"), "noted", _LIMITS),
        DockerFlag(("--cpuset-mems", "--cgroup-parent"), "noted", _LIMITS),
        DockerFlag(("--cgroupns", "--runtime", "--domainname"), "noted", _DETACHED),
        DockerFlag(("--disable-content-trust",), "noted", "images are known by their digests", takes=False),
        DockerFlag(("--detach", "-d"), "refused", _BACKGROUND, takes=False),
        DockerFlag(("--privileged",), "refused", _RIGHTS, takes=False),
        DockerFlag(("--device", "--gpus", "--device-cgroup-rule"), "refused", _RIGHTS),
        DockerFlag(("--volumes-from",), "refused", f"{_DAEMON} that keeps containers; name the volumes with -v"),
        DockerFlag(("--volume-driver", "--storage-opt"), "refused", "volumes are directories of the store"),
        DockerFlag(("--link", "--ip", "--ip6", "--mac-address", "--network-alias"), "refused", _NETWORKS),
        DockerFlag(("--pid", "--ipc", "--uts", "--userns"), "refused", "a container has namespaces of its own"),
        DockerFlag(("--sysctl",), "refused", "a container has the settings of this machine's kernel"),
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


def _treated(flag: DockerFlag, name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def treat(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if not value or flag.treatment == "taken":
            return
        if flag.treatment == "refused":
            raise UnsupportedError(f"{name} is not supported: {flag.why}")
        click.echo(f"{name} has no effect: {flag.why}", err=True)

    return treat
