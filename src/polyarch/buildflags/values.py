"""Values of options in the forms that callers have: one item or several, words or a mapping. Wrong types end here.

Each function takes the option's name as the message shows it, and raises UsageError.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, TypeAlias, TypeVar, get_args

from polyarch.errors import UsageError

T = TypeVar("T")
# One item, or any number of them. A str is one item, never its letters.
Items: TypeAlias = T | Iterable[T]
# `KEY=VALUE` words, or a mapping; None as a value means that the variable of that name is taken.
Pairs: TypeAlias = Mapping[str, str | None] | Items[str]


def items(option: str, given: object, *kinds: type) -> tuple[Any, ...]:
    """The items of a value that may be one item of `kinds`, an iterable of them, or None for none."""
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
    """The items of a value of texts."""
    return items(option, given, str)


def pairs(option: str, given: object) -> tuple[str, ...]:
    """The words of a value that may be a mapping: `KEY=VALUE`, and `KEY` for one whose value is None."""
    if not isinstance(given, Mapping):
        return words(option, given)
    found = []
    for key, value in given.items():
        if not isinstance(key, str) or not isinstance(value, str | None):
            refuse(option, value if isinstance(key, str) else key, (str,))
        found.append(key if value is None else f"{key}={value}")
    return tuple(found)


def flag(option: str, given: object) -> bool:
    """A value that is on or off; None is off."""
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
    """One of the texts of the Literal `known`; `default` for None."""
    if given is None:
        return default
    if given not in get_args(known):
        raise UsageError(f"{option}: {given!r} is unknown", f"there are {', '.join(get_args(known))}")
    return given


def refuse_nul(option: str, given: str) -> None:
    """Raise UsageError for a text that no path and no variable can have."""
    if "\0" in given:
        # Without the text, which may be a secret's.
        raise UsageError(f"{option}: a value contains a NUL character")


def refuse(option: str, given: object, kinds: tuple[type, ...]) -> NoReturn:
    """Raise the UsageError for a value that is not of these types."""
    wanted = " or ".join(kind.__name__ for kind in kinds)
    raise UsageError(f"{option} takes {wanted}, not {type(given).__name__}: {given!r}")
