"""HEALTHCHECK, and Go's syntax for durations."""

import re

from polyarch.dockerfile import flags
from polyarch.dockerfile.instructions.base import Instruction
from polyarch.dockerfile.source import DockerfileError
from polyarch.dockerfile.syntax import SyntaxNode, common
from polyarch.dockerfile.words import quoted

_FLAGS: dict[str, flags.Kind] = {
    "interval": "text",
    "timeout": "text",
    "start-period": "text",
    "start-interval": "text",
    "retries": "text",
}
_UNITS = {
    "ns": 1,
    "us": 10**3,
    "\u00b5s": 10**3,
    "\u03bcs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = r"([0-9]+)?(?:\.([0-9]*))?([^0-9.]*)"
# container.MinimumDuration
_SHORTEST = 10**6


class Healthcheck(Instruction, frozen=True, kw_only=True):
    """HEALTHCHECK: `test` is as in an image config, ("NONE",), ("CMD", …) or ("CMD-SHELL", line).

    Durations are in nanoseconds. Durations and `retries` are 0 if they are absent.
    """

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


def parse_healthcheck(node: SyntaxNode) -> Healthcheck:
    """Return the HEALTHCHECK of a node. Raises DockerfileError if it is malformed."""
    if not node.arguments:
        raise DockerfileError("HEALTHCHECK requires at least one argument")
    kind, *rest = node.arguments
    kind = kind.upper()
    if kind == "NONE":
        if rest:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments")
        return Healthcheck(test=("NONE",), **common(node))
    given = flags.parse(node.flags, _FLAGS)
    if kind != "CMD":
        raise DockerfileError(f"Unknown type {quoted(kind)} in HEALTHCHECK (try CMD)")
    if not rest:
        raise DockerfileError("Missing command after HEALTHCHECK CMD")
    return Healthcheck(
        test=("CMD" if node.json else "CMD-SHELL", *rest),
        interval=_interval(given, "interval"),
        timeout=_interval(given, "timeout"),
        start_period=_interval(given, "start-period"),
        start_interval=_interval(given, "start-interval"),
        retries=_retries(given.text("retries")),
        **common(node),
    )


def _interval(given: flags.Flags, name: str) -> int:
    text = given.text(name)
    nanoseconds = duration(text) if text else 0
    if nanoseconds and nanoseconds < _SHORTEST:
        raise DockerfileError(f"Interval {quoted(name)} cannot be less than 1ms")
    return nanoseconds


def _retries(text: str) -> int:
    if not text:
        return 0
    if not re.fullmatch(r"[+-]?[0-9]{1,10}", text, re.ASCII) or not -(2**31) <= int(text) < 2**31:
        raise DockerfileError(f"{quoted(text)} is not a number of retries")
    if int(text) < 0:
        raise DockerfileError(f"--retries cannot be negative ({int(text)})")
    return int(text)


def duration(text: str) -> int:
    """Return the nanoseconds of a duration as in Go's time.ParseDuration: `1m30s`, `1.5h`, `-2ms`, `0`.

    Raises DockerfileError.
    """
    body = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if body == "0":
        return 0
    if not body or len(body) > 60:
        raise DockerfileError(f"time: invalid duration {quoted(text)}")
    part = re.compile(_PART)
    total = at = 0
    while at < len(body):
        match = part.match(body, at)
        if match is None or not (match[1] or match[2]):
            raise DockerfileError(f"time: invalid duration {quoted(text)}")
        if not match[3]:
            raise DockerfileError(f"time: missing unit in duration {quoted(text)}")
        unit = _UNITS.get(match[3])
        if unit is None:
            raise DockerfileError(f"time: unknown unit {quoted(match[3])} in duration {quoted(text)}")
        fraction = match[2] or ""
        total += int(match[1] or 0) * unit + int(fraction or 0) * unit // 10 ** len(fraction)
        at = match.end()
    if total >= 2**63:
        raise DockerfileError(f"time: invalid duration {quoted(text)}")
    return -total if text.startswith("-") else total
