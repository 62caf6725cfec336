"""Semantic versions, and constraints on them as in `>= 1.2, < 2 || 3.x`."""

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from polyarch.bake.hcl import values
from polyarch.bake.hcl.functions import FunctionError, FunctionHost, FunctionTable
from polyarch.bake.hcl.values import HclValue

TABLE = FunctionTable()
_LONGEST = 1000
_REST = r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
_VERSION = re.compile(rf"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?{_REST}", re.ASCII)
_NUMBER = r"[0-9xX*]+"
_PATTERN = rf"v?({_NUMBER})(?:\.({_NUMBER}))?(?:\.({_NUMBER}))?{_REST}"
_ONE = re.compile(rf"\s*(>=|=>|<=|=<|!=|~>|=|>|<|~|\^|)\s*{_PATTERN}\s*", re.ASCII)
_RANGE = re.compile(rf"({_PATTERN})\s+-\s+({_PATTERN})", re.ASCII)
_ANY = ("x", "X", "*")


class SemanticVersion(msgspec.Struct, frozen=True):
    """A version. `pre` are the parts of the pre-release, empty for a release; build metadata does not count."""

    numbers: tuple[int, int, int]
    pre: tuple[str, ...] = ()

    def key(self) -> tuple[tuple[int, int, int], bool, tuple[tuple[bool, int, str], ...]]:
        """Orders versions: a pre-release is before its release, numbers before words."""
        parts = tuple((not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in self.pre)
        return self.numbers, not self.pre, parts


class VersionConstraint(msgspec.Struct, frozen=True):
    """One comparison. `given` is how many of the three numbers it names; the others are free."""

    operator: str
    version: SemanticVersion
    given: int

    def allows(self, version: SemanticVersion) -> bool:
        """Whether a version satisfies it."""
        return _CHECKS[self.operator](self, version)


@TABLE.define("semvercmp version:string constraint:string")
def _semvercmp(arguments: Sequence[HclValue], _: FunctionHost) -> HclValue:
    version, constraint = (argument.data for argument in arguments)
    return values.boolean(satisfies(_version(version), constraint))


def satisfies(version: SemanticVersion, constraint: str) -> bool:
    """Whether a version satisfies one of the alternatives of a constraint. Raises FunctionError."""
    if len(constraint) > _LONGEST:
        raise FunctionError("the constraint is too long")
    # All alternatives are parsed before one is asked.
    alternatives = [_constraints(part) for part in constraint.split("||")]
    return any(_all(version, constraints) for constraints in alternatives)


def _all(version: SemanticVersion, constraints: Sequence[VersionConstraint]) -> bool:
    """Whether a version satisfies all. A pre-release does only if one of them names a pre-release."""
    if version.pre and not any(one.version.pre for one in constraints):
        return False
    return all(one.allows(version) for one in constraints)


def _version(text: str) -> SemanticVersion:
    match = _VERSION.fullmatch(text)
    if match is None or not _is_sound(match[4]):
        raise FunctionError(f"{text!r} is not a semantic version")
    numbers = tuple(int(match[index] or 0) for index in (1, 2, 3))
    if max(numbers) >= 1 << 64:
        raise FunctionError(f"{text!r} has a number that is too large")
    return SemanticVersion(numbers, tuple(match[4].split(".")) if match[4] else ())  # type: ignore[arg-type]


def _is_sound(pre: str | None) -> bool:
    """Whether no number in a pre-release has a leading zero."""
    return not any(part.isdigit() and len(part) > 1 and part[0] == "0" for part in (pre or "").split("."))


def _constraints(text: str) -> list[VersionConstraint]:
    """The comparisons between two `||`, which must all hold."""
    text = _RANGE.sub(lambda match: f">= {match[1]}, <= {match[6]} ", text)
    found: list[VersionConstraint] = []
    position = 0
    while not found or position < len(text):
        match = _ONE.match(text, position)
        if match is None or (found and match.start(1) == position and text[position - 1] not in ", \t\n\r\f\v"):
            raise FunctionError(f"{text!r} is not a constraint on versions")
        found.append(_constraint(match))
        position = match.end()
        if text[position : position + 1] == ",":
            position += 1
            if not text[position:].strip():
                raise FunctionError(f"{text!r} ends with a comma")
    return found


def _constraint(match: re.Match[str]) -> VersionConstraint:
    parts = [match[index] for index in (2, 3, 4)]
    given = next((index for index, part in enumerate(parts) if part is None or part in _ANY), 3)
    numbers = ".".join([*parts[:given], *["0"] * (3 - given)])
    return VersionConstraint(match[1], _version(numbers + (f"-{match[5]}" if match[5] else "")), given)


def _equal(one: VersionConstraint, version: SemanticVersion) -> bool:
    return version.key() == one.version.key() if one.given == 3 else _close(one, version)


def _different(one: VersionConstraint, version: SemanticVersion) -> bool:
    if one.given in (0, 3):
        return version.key() != one.version.key()
    same = version.numbers[: one.given] == one.version.numbers[: one.given]
    return not same or (one.given == 2 and version.pre != one.version.pre)


def _greater(one: VersionConstraint, version: SemanticVersion) -> bool:
    if one.given in (1, 2):
        return version.numbers[: one.given] > one.version.numbers[: one.given]
    return version.key() > one.version.key()


def _at_most(one: VersionConstraint, version: SemanticVersion) -> bool:
    if one.given == 3:
        return version.key() <= one.version.key()
    named = max(one.given, 2) if one.given != 1 else 1
    return version.numbers[:named] <= one.version.numbers[:named]


def _close(one: VersionConstraint, version: SemanticVersion) -> bool:
    """`~1.2.3` is 1.2.3 and the later ones of 1.2."""
    if version.key() < one.version.key():
        return False
    if one.version.numbers == (0, 0, 0) and one.given in (0, 3):
        return True
    named = 1 if one.given == 1 else 2
    return version.numbers[:named] == one.version.numbers[:named]


def _compatible(one: VersionConstraint, version: SemanticVersion) -> bool:
    """`^1.2.3` is 1.2.3 and the later ones of 1; a zero in front makes the next number the one that may not change."""
    if version.key() < one.version.key():
        return False
    major, minor, _ = one.version.numbers
    if major or one.given == 1:
        return version.numbers[0] == major
    if minor or one.given == 2:
        return version.numbers[:2] == (0, minor)
    return version.numbers == one.version.numbers


_CHECKS: Mapping[str, Callable[[VersionConstraint, SemanticVersion], bool]] = {
    "": _equal,
    "=": _equal,
    "!=": _different,
    ">": _greater,
    "<": lambda one, version: version.key() < one.version.key(),
    ">=": lambda one, version: version.key() >= one.version.key(),
    "=>": lambda one, version: version.key() >= one.version.key(),
    "<=": _at_most,
    "=<": _at_most,
    "~": _close,
    "~>": _close,
    "^": _compatible,
}
