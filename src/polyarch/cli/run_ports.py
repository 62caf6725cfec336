"""Parse docker's flags for the ports of a container, `--publish` and `--expose`, and open the ports of this machine."""

import contextlib
import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal, cast

import msgspec

from polyarch.errors import UnsupportedError, UsageError

if TYPE_CHECKING:
    from polyarch.sandbox.ports import Listener

_HINT = "expected [[ADDRESS:]HOST:]CONTAINER[/udp], as in 8080:80 or 127.0.0.1:8080:80"
_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?", re.ASCII)
_HIGHEST = 65535
_EVERYWHERE = ("0.0.0.0", "::")


class Published(msgspec.Struct, frozen=True):
    """One port of a container, and the range of ports of this machine of which a free one leads to it (0: any).

    `address` is empty for all addresses.
    """

    address: str
    first: int
    last: int
    container: int
    protocol: Literal["tcp", "udp"]

    def __str__(self) -> str:
        return f"{self.container}/{self.protocol}"


def publish(text: str) -> list[Published]:
    """The ports that a value of `--publish` describes, by docker's rules (nat.ParsePortSpec). Raises UsageError."""
    rest, _, protocol = text.partition("/")
    if protocol.lower() not in ("", "tcp", "udp"):
        if protocol.lower() == "sctp":
            raise UnsupportedError(f"--publish {text} is not supported: only tcp and udp are carried")
        raise UsageError(f"--publish {text}: unknown protocol {protocol!r}", _HINT)
    before, _, container = rest.rpartition(":")
    address, _, host = before.rpartition(":")
    try:
        address = str(ipaddress.ip_address(address.strip("[]"))) if address else ""
    except ValueError as error:
        raise UsageError(f"--publish {text}: {address!r} is not an address", _HINT) from error
    inside = _range(text, container)
    outside = _range(text, host) if host else None
    kind = cast("Literal['tcp', 'udp']", protocol.lower() or "tcp")
    if outside and len(outside) != len(inside):
        if len(inside) > 1:
            raise UsageError(f"--publish {text}: the ranges {host} and {container} have different lengths", _HINT)
        return [Published(address, outside[0], outside[-1], inside[0], kind)]
    return [
        Published(address, outside[number] if outside else 0, outside[number] if outside else 0, port, kind)
        for number, port in enumerate(inside)
    ]


def exposed(words: Iterable[str]) -> list[Published]:
    """The ports of EXPOSE and `--expose`, each on a free port of this machine. Raises UsageError."""
    return [msgspec.structs.replace(port, address="") for word in words for port in publish(word)]


@contextlib.contextmanager
def opened(wanted: Iterable[Published]) -> "Iterator[list[tuple[Published, Listener]]]":
    """Listen on the ports of this machine. If the block fails, they are closed.

    Raises PortTakenError if a port, or each port of a range, is taken.
    """
    found: list[tuple[Published, Listener]] = []
    try:
        for port in wanted:
            found += [(port, listener) for listener in _listeners(port)]
        yield found
    except BaseException:
        for _, listener in found:
            listener.close()
        raise


def _listeners(wanted: Published) -> "list[Listener]":
    from polyarch.sandbox import ports

    for number in range(wanted.first, wanted.last + 1):
        try:
            if wanted.address:
                return [ports.listen(wanted.address, number, wanted.protocol)]
            return _everywhere(number, wanted.protocol)
        except ports.PortTakenError:
            if number == wanted.last:
                raise
    return []


def _everywhere(number: int, protocol: Literal["tcp", "udp"]) -> "list[Listener]":
    from polyarch.sandbox import ports

    first = ports.listen(_EVERYWHERE[0], number, protocol)
    # A machine without IPv6 has no such address.
    with contextlib.suppress(UnsupportedError, ports.PortTakenError, OSError):
        return [first, ports.listen(_EVERYWHERE[1], first.getsockname()[1], protocol)]
    return [first]


def _range(text: str, word: str) -> range:
    match = _RANGE.fullmatch(word)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 0 < first <= last <= _HIGHEST:
        raise UsageError(f"--publish {text}: {word!r} is not a port, or a range of ports", _HINT)
    return range(first, last + 1)
