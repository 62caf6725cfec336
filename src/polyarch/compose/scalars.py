"""The values of plain YAML scalars, by the rules of docker compose (go-yaml v3): YAML 1.2's words, and 1.1's octals.

So `0755` is 493, `0o17` is 15, `1_000` is 1000 and `1e3` is 1000.0, but `yes`, `on` and `12:30` are text.
"""

import math
import re
from collections.abc import Callable

_WORDS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_FRACTION = re.compile(r"\.[0-9]+(_[0-9]+)*([eE][-+]?[0-9]+)?", re.ASCII)
_INTEGERS: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(r"[-+]?0[xX][0-9a-fA-F]+", re.ASCII), 16),
    (re.compile(r"[-+]?0[bB][01]+", re.ASCII), 2),
    (re.compile(r"[-+]?0[oO]?[0-7]+", re.ASCII), 8),
    (re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII), 10),
)
_OLD_BOOLEANS = frozenset("y Y yes Yes YES on On ON n N no No NO off Off OFF".split())
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?", re.ASCII)
_SMALLEST, _LARGEST = -(1 << 63), (1 << 64) - 1


def value(text: str) -> object:
    """The value of a scalar without quotes."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if text[0] == ".":
        return float(text) if _FRACTION.fullmatch(text) else text
    plain = text.replace("_", "")
    for pattern, base in _INTEGERS:
        if pattern.fullmatch(plain):
            digits = re.sub(r"0[xXbBoO]", "", plain, count=1)
            number = int(digits, base)
            return number if _SMALLEST <= number <= _LARGEST else float(number)
    if _FLOAT.fullmatch(plain):
        return float(plain)
    return text


_CASTS: dict[str, Callable[[str], object]] = {
    "tag:yaml.org,2002:str": str,
    "tag:yaml.org,2002:int": value,
    "tag:yaml.org,2002:float": lambda text: float(value(text)),  # type: ignore[arg-type]
    "tag:yaml.org,2002:bool": value,
    "tag:yaml.org,2002:null": value,
}
_KINDS: dict[str, type | tuple[type, ...]] = {"int": int, "float": float, "bool": bool, "null": type(None)}


def tagged(tag: str, text: str) -> object:
    """The value of a scalar with a tag. Raises ValueError for an unknown tag, or text that is not of its type."""
    cast = _CASTS.get(tag)
    if cast is None:
        raise ValueError(f"the tag {tag} is unknown")
    try:
        found = cast(text)
    except TypeError:
        found = text
    kind = _KINDS.get(tag.rpartition(":")[2])
    if kind is not None and not isinstance(found, kind):
        raise ValueError(f"{text!r} is not a value for the tag {tag.rpartition(':')[2]}")
    return found


def needs_quotes(text: str) -> bool:
    """Whether a text without quotes would be read as something else, here or by a reader of YAML 1.1."""
    return not isinstance(value(text), str) or text in _OLD_BOOLEANS or _is_special(text)


def _is_special(text: str) -> bool:
    return (":" in text and _BASE_60.fullmatch(text) is not None) or _is_date(text)


def _is_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None
