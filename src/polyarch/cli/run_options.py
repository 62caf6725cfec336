"""The options of `run`, in groups."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def _many(name: str, *names: str, metavar: str, help: str) -> Callable[[F], F]:  # noqa: A002 (click's own word)
    return click.option(*names, name, multiple=True, metavar=metavar, help=help)


def _all(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


mounts: Callable[[F], F] = _all(
    _many(
        "volumes",
        "-v",
        "--volume",
        metavar="[SRC:]DST[:ro]",
        help="Mount a directory of this machine, or a volume by its name",
    ),
    _many(
        "mounts",
        "--mount",
        metavar="type=TYPE,...",
        help="The long form: type=bind|volume|tmpfs,source=SRC,target=DST,readonly",
    ),
    _many("tmpfs", "--tmpfs", metavar="DST[:OPTIONS]", help="Mount an empty directory in memory"),
)
network: Callable[[F], F] = _all(
    click.option(
        "--network",
        "--net",
        metavar="host|none|private",
        help="Network (default: host, which is this machine's; private with -p)",
    ),
    _many("publish", "-p", "--publish", metavar="[[IP:]HOST:]PORT[/udp]", help="Let a port of this machine lead in"),
    click.option("-P", "--publish-all", is_flag=True, help="Let free ports of this machine lead to all exposed ports"),
    _many("expose", "--expose", metavar="PORT", help="A further port for -P"),
    _many("hosts", "--add-host", metavar="NAME:ADDRESS", help="Add an entry to /etc/hosts"),
    _many("dns", "--dns", metavar="ADDRESS", help="A server for names, instead of this machine's"),
    _many("dns_search", "--dns-search", metavar="DOMAIN", help="A domain in which names are looked up"),
    _many("dns_options", "--dns-option", "--dns-opt", metavar="OPTION", help="An option of resolv.conf"),
)
rights: Callable[[F], F] = _all(
    _many("cap_add", "--cap-add", metavar="CAPABILITY", help="Add a capability, or ALL"),
    _many("cap_drop", "--cap-drop", metavar="CAPABILITY", help="Drop a capability, or ALL"),
    _many("security_opts", "--security-opt", metavar="OPTION", help="no-new-privileges or seccomp=unconfined"),
    _many("groups", "--group-add", metavar="GROUP", help="Add a group of the image to the user's"),
    click.option("-m", "--memory", metavar="SIZE", help="Limit of memory"),
    click.option("--memory-swap", metavar="SIZE", help="Limit of memory and swap together; -1 for none"),
    click.option("--cpus", metavar="NUMBER", help="Limit of processors, as in 1.5"),
    click.option(
        "-c", "--cpu-shares", type=click.IntRange(min=0), default=0, metavar="NUMBER", help="Weight (default: 1024)"
    ),
    click.option("--cpuset-cpus", default="", metavar="LIST", help="Processors that may be used, as in 0-2,4"),
    click.option("--pids-limit", type=click.IntRange(min=-1), default=0, metavar="NUMBER", help="Limit of processes"),
    click.option("--shm-size", metavar="SIZE", help="Size of /dev/shm"),
    _many("ulimits", "--ulimit", metavar="NAME=SOFT[:HARD]", help="Set a resource limit"),
)
emulation: Callable[[F], F] = _all(
    _many(
        "emulated_cpus",
        "--emulated-cpu",
        metavar="MODEL",
        help="Processor that emulated programs see, by qemu's name; default is all that qemu can emulate",
    ),
    _many("emulators", "--emulator", metavar="PLATFORM=FILE", help="Emulate a platform with this program"),
)
ending: Callable[[F], F] = _all(
    click.option("--init", is_flag=True, help="Run a small init as process 1, which removes zombies"),
    click.option("--stop-signal", default="", metavar="SIGNAL", help="Signal that SIGTERM is passed on as"),
    click.option(
        "--stop-timeout",
        type=click.IntRange(min=0),
        default=10,
        metavar="SECONDS",
        help="How long to wait after it before the container is killed (default: 10)",
    ),
    click.option("--name", metavar="NAME", help="Name of the container while it runs"),
    click.option("--cidfile", metavar="FILE", help="Write an id of the container to FILE"),
    _many("labels", "-l", "--label", metavar="KEY[=VALUE]", help="Accepted: labels end with the container"),
    _many("label_files", "--label-file", metavar="FILE", help="Accepted: the same"),
)
