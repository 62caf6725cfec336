"""Convert values of options: one item or several, text or a mapping. Wrong types are refused here.

Each function takes the option's name for its message, and raises UsageError.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, TypeAlias, TypeVar, get_args

from polyarch.errors import UsageError

T = TypeVar("T")
# One item or several. A str is one item, not a sequence of letters.
Items: TypeAlias = T | Iterable[T]
# `KEY=VALUE` texts or a mapping. A value of None means the environment variable of that name.
Pairs: TypeAlias = Mapping[str, str | None] | Items[str]


def items(option: str, given: object, *kinds: type) -> tuple[Any, ...]:
    """The items of a value: one item of the types `kinds`, an iterable of them, or None for no items."""
    if given is None:
        return ()
    found: tuple[Any, ...]
    if isinstance(given, kinds):
        found = (given,)
    elif isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping):
        found = tuple(given)
    else:
        refuse(option, given, kinds)
    for one in found:
        if not isinstance(one, kinds):
            refuse(option, one, kinds)
        if isinstance(one, str):
            refuse_nul(option, one)
    return found


def words(option: str, given: object) -> tuple[str, ...]:
    """The items of a value that consists of texts."""
    return items(option, given, str)


def pairs(option: str, given: object) -> tuple[str, ...]:
    """The items of a value as texts. A mapping becomes `KEY=VALUE`, or `KEY` if its value is None."""
    if not isinstance(given, Mapping):
        return words(option, given)
    found = []
    for key, value in given.items():
        if not isinstance(key, str) or not isinstance(value, str | None):
            refuse(option, value if isinstance(key, str) else key, (str,))
        found.append(key if value is None else f"{key}={value}")
    return tuple(found)


def flag(option: str, given: object) -> bool:
    """A boolean; None is False."""
    if not isinstance(given, bool | None):
        refuse(option, given, (bool,))
    return bool(given)


def number(option: str, given: object, kinds: tuple[type, ...] = (int,)) -> Any:
    """A number that is not negative, or None."""
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, kinds):
        refuse(option, given, kinds)
    if given < 0:  # type: ignore[operator]
        raise UsageError(f"{option}: {given!r} is negative")
    return given


def choice(option: str, given: object, known: object, default: str) -> Any:
    """One of the values of the Literal `known`; None is `default`."""
    if given is None:
        return default
    if given not in get_args(known):
        raise UsageError(f"{option}: {given!r} is unknown", f"there are {', '.join(get_args(known))}")
    return given


def refuse_nul(option: str, given: str) -> None:
    """Raise UsageError for a text that cannot be a path or the value of a variable."""
    if "\0" in given:
        # The message does not repeat the text, which may be a secret.
        raise UsageError(f"{option}: a value contains a NUL character")


def refuse(option: str, given: object, kinds: tuple[type, ...]) -> NoReturn:
    """Raise the UsageError for a value that is not of these types."""
    wanted = " or ".join(kind.__name__ for kind in kinds)
    raise UsageError(f"{option} takes {wanted}, not {type(given).__name__}: {given!r}")
