"""The options of RUN steps: network, hosts, /dev/shm and limits.

A new one is a field of `RunFlags` and of `sandbox.settings.RunSettings`, an option of the command line, and what the
sandbox makes of it.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, TypedDict

from polyarch.buildflags import values
from polyarch.buildflags.values import Items
from polyarch.errors import UsageError
from polyarch.sandbox.settings import RunSettings

_Network = Literal["default", "none", "host"]
# The resources of setrlimit(2).
_UNLIMITED = -1
_LARGEST = (1 << 63) - 1  # as docker reads them
_DIGITS = 30
_LIMITS = frozenset(
    "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split()
)


class RunFlags(TypedDict, total=False):
    """Options for the processes of RUN steps.

    `network` is "default" (the host's), "none" or "host". `hosts` are entries of /etc/hosts: {name: address}, or
    "NAME:ADDRESS". `shm_size` is the size of /dev/shm: bytes, or a text such as "64m". `ulimits` are resource limits:
    {name: soft} or {name: (soft, hard)}, or "NAME=SOFT[:HARD]". With
    `sync`, fsync and similar calls wait for the disk. `emulated_cpus` are processors that emulated programs see:
    {platform: model}, or "[PLATFORM=]MODEL". `emulators` run programs for other platforms instead of those on PATH:
    {platform: file}, or "PLATFORM=FILE".
    """

    network: _Network | None
    hosts: Mapping[str, str] | Items[str]
    shm_size: int | str | None
    ulimits: Mapping[str, int | tuple[int, int]] | Items[str]
    sync: bool
    emulated_cpus: Mapping[str, str] | Items[str]
    emulators: Mapping[str, str] | Items[str]


def settings(options: RunFlags) -> RunSettings:
    """The settings that the options describe. Raises UsageError."""
    get = options.get
    return RunSettings(
        network=values.choice("--network", get("network"), _Network, "default"),
        hosts=tuple(_hosts(get("hosts"))),
        shm_size=_shm_size(get("shm_size")),
        ulimits=tuple(_ulimits(get("ulimits"))),
        sync=values.flag("--sync", get("sync")),
        emulated_cpus=_processors(get("emulated_cpus")),
    )


def _processors(given: object) -> tuple[tuple[str, str], ...]:
    if not given:
        return ()
    from polyarch.buildflags import emulation

    return emulation.processors(given)


def _hosts(given: object) -> Iterable[tuple[str, str]]:
    if isinstance(given, Mapping):
        given = values.pairs("--add-host", given)
    for word in values.words("--add-host", given):
        # An IPv6 address contains colons; `=` is buildx's newer separator.
        separator = "=" if "=" in word else ":"
        name, _, address = word.partition(separator)
        if not name or not address:
            raise UsageError(f"--add-host: {word!r} is not NAME:ADDRESS", "as in --add-host registry.local:10.0.0.5")
        # A RUN step uses the host's network, so it reaches the host at the loopback address.
        yield name, "127.0.0.1" if address == "host-gateway" else address.strip("[]")


def _shm_size(given: object) -> int:
    if isinstance(given, str):
        from polyarch.buildflags import size

        return size.bytes_of(given, memory=True) if given else 0
    return values.number("--shm-size", given, (int, str)) or 0


def _ulimits(given: object) -> Iterable[tuple[str, int, int]]:
    if isinstance(given, Mapping):
        given = [f"{name}={_numbers(name, limit)}" for name, limit in given.items()]
    for word in values.words("--ulimit", given):
        name, _, value = word.partition("=")
        soft, _, hard = value.partition(":")
        numbers = [part for part in (soft, hard or soft) if part.removeprefix("-").isdecimal()]
        if not name or len(numbers) != 2:
            raise UsageError(f"--ulimit: {word!r} is not NAME=SOFT[:HARD]", "as in --ulimit nofile=1024:4096")
        if name not in _LIMITS:
            raise UsageError(f"--ulimit: unknown limit {name!r}", f"known limits: {', '.join(sorted(_LIMITS))}")
        # Python refuses to parse a number with thousands of digits.
        soft_limit, hard_limit = (int(number) if len(number) < _DIGITS else _LARGEST + 1 for number in numbers)
        if not all(_UNLIMITED <= limit <= _LARGEST for limit in (soft_limit, hard_limit)):
            raise UsageError(f"--ulimit: {word!r} is out of range", "expected a number from 0, or -1 for no limit")
        if hard_limit != _UNLIMITED and (soft_limit == _UNLIMITED or soft_limit > hard_limit):
            raise UsageError(f"--ulimit: the soft limit of {word!r} is above the hard limit", "expected NAME=SOFT:HARD")
        yield name, soft_limit, hard_limit


def _numbers(name: object, limit: object) -> str:
    both = limit if isinstance(limit, tuple | list) else (limit, limit)
    if len(both) != 2 or not all(isinstance(one, int) and not isinstance(one, bool) for one in both):
        raise UsageError(f"--ulimit: {name}={limit!r} is not a number, or a pair of numbers")
    return f"{both[0]}:{both[1]}"
