"""Values of the attributes that the carriers share: booleans, counts and durations in Go's spelling."""

from collections.abc import Mapping

from polyarch.errors import UsageError

# Before the names of variables among the attributes, where no user can write one.
VARIABLE = "$"
_TRUE = ("1", "t", "true")
_FALSE = ("0", "f", "false")


def flag(kind: str, given: Mapping[str, str], name: str, default: bool = False) -> bool:
    """A boolean in the spellings of Go's strconv.ParseBool. Raises UsageError that names the cache's type `kind`."""
    text = given.get(name)
    if text is None:
        return default
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise UsageError(f"type={kind}: {name}={text} is neither true nor false")


def count(kind: str, given: Mapping[str, str], name: str, default: int) -> int:
    """A positive whole number. Raises UsageError."""
    text = given.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise UsageError(f"type={kind}: {name}={text} is not a positive whole number")
    return int(text)


def seconds(kind: str, given: Mapping[str, str], name: str, default: float) -> float:
    """A duration such as 90s, 24h or 1h30m, in seconds. Raises UsageError for another text and a negative one."""
    text = given.get(name)
    if text is None:
        return default
    from polyarch.dockerfile.instructions.healthcheck import duration
    from polyarch.dockerfile.source import DockerfileError

    try:
        found = duration(text) / 1e9
    except DockerfileError:
        found = -1.0
    if found < 0:
        raise UsageError(f"type={kind}: {name}={text} is not a duration", f"as in {name}=90s or {name}=24h")
    return found


def environment(*names: str) -> dict[str, tuple[str, ...]]:
    """The `CarrierType.environment` that hands these variables over as they are."""
    return {VARIABLE + name: (name,) for name in names}


def split(attributes: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The attributes that were given, and the variables of the environment."""
    given = {name: value for name, value in attributes.items() if not name.startswith(VARIABLE)}
    variables = {name[1:]: value for name, value in attributes.items() if name.startswith(VARIABLE)}
    return given, variables
