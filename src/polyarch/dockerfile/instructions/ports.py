"""The ports of EXPOSE (dockerfile2llb/convert_expose.go)."""

import re

import msgspec

from polyarch.dockerfile.source import DockerfileError
from polyarch.dockerfile.words import quoted


class Port(msgspec.Struct, frozen=True):
    """A port specification: `[ip:][host:]first[-last][/protocol]`, with the protocol as written."""

    ip: str
    host: str
    first: int
    last: int
    protocol: str


def ports(specifications: tuple[str, ...]) -> tuple[str, ...]:
    """Return `8080/tcp` for each port of the expanded specifications of an EXPOSE. Raises DockerfileError."""
    return tuple(
        f"{number}/{port.protocol.lower()}"
        for port in map(parse, specifications)
        for number in range(port.first, port.last + 1)
    )


def parse(specification: str) -> Port:
    """Return one specification.

    Raises DockerfileError, also for a bad address or host port, which an image cannot use.
    """
    *more, container = specification.split(":")
    host = more.pop() if more else ""
    ip = ":".join(more)
    number, _, protocol = container.partition("/")
    if not number:
        raise DockerfileError(f"invalid port: {quoted(specification)}: no port specified")
    if protocol.lower() not in ("", "tcp", "udp", "sctp"):
        raise DockerfileError(f"invalid port: {quoted(specification)}: invalid proto: {protocol}")
    if ip:
        _check_address(ip)
    span = _span(number)
    if span is None:
        raise DockerfileError(f"invalid containerPort: {number}")
    if host:
        host_span = _span(host)
        if host_span is None:
            raise DockerfileError(f"invalid hostPort: {host}")
        if span[1] - span[0] not in (0, host_span[1] - host_span[0]):
            raise DockerfileError(f"invalid ranges specified for container and host Ports: {number} and {host}")
    return Port(ip, host, *span, protocol or "tcp")


def _check_address(ip: str) -> None:
    import ipaddress

    bare = ip[1:-1] if ip.startswith("[") and ip.endswith("]") else ip
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        raise DockerfileError(f"invalid IP address: {ip}") from None


def _span(text: str) -> tuple[int, int] | None:
    start, dash, end = text.partition("-")
    numbers = [_number(part) for part in ((start, end) if dash and start != end else (start, start))]
    first, last = numbers
    if first is None or last is None or last < first:
        return None
    return first, last


def _number(text: str) -> int | None:
    if not re.fullmatch(r"\+?[0-9]{1,9}", text, re.ASCII) or int(text) > 65535:
        return None
    return int(text)
