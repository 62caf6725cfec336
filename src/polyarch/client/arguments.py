"""Check the arguments of the client's methods and convert them.

The first parameter of each function is the name of the argument. A UsageError names it, the value that it got, and what
it expects. If several values are expected, a single str or path is one value.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from polyarch.errors import UsageError
from polyarch.oci import platform as platforms_
from polyarch.oci import reference as references
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference

_T = TypeVar("_T")

StrPath = str | os.PathLike[str]
PATHS = (os.PathLike,)
# One str, "linux/amd64,linux/arm64", is two platforms.
Platforms = str | Platform | Iterable[str | Platform]
Name = str | Reference
Names = str | Reference | Iterable[str | Reference]


def refuse(name: str, value: object, expected: str, *, secret: bool = False) -> NoReturn:
    """Raises UsageError for an argument. If the value may be a secret, the message does not contain it."""
    kind = type(value).__name__
    shown = repr(value)
    if len(shown) > 60:
        shown = f"{shown[:60]}…"
    raise UsageError(f"{name} cannot be {f'a {kind}' if secret else f'{shown} ({kind})'}", f"it takes {expected}")


def text(name: str, value: object) -> str:
    """A str."""
    if not isinstance(value, str):
        refuse(name, value, "a str")
    return value


def flag(name: str, value: object) -> bool:
    """A bool."""
    if not isinstance(value, bool):
        refuse(name, value, "True or False")
    return value


def choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    """One of some words."""
    if value not in choices:
        refuse(name, value, "one of " + ", ".join(map(repr, choices)))
    return str(value)


def path(name: str, value: object, directory: Callable[[], Path]) -> Path:
    """A path, made absolute with `directory`."""
    if not isinstance(value, str | os.PathLike):
        refuse(name, value, "a path: a str or an os.PathLike[str]")
    plain = os.fspath(value)
    if not isinstance(plain, str):
        refuse(name, value, "a path of str, not of bytes")
    if not plain or "\0" in plain:
        refuse(name, value, "the path of a file or directory")
    found = Path(plain)
    return found if found.is_absolute() else directory() / found


def paths(name: str, value: object, directory: Callable[[], Path]) -> tuple[Path, ...]:
    """One path or several."""
    return tuple(path(name, item, directory) for item in items(name, value, "a path or several", (str, os.PathLike)))


def items(name: str, value: object, expected: str, one: tuple[type, ...] = (str,)) -> tuple[Any, ...]:
    """One or more values of the types in `one`."""
    if isinstance(value, one):
        return (value,)
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        refuse(name, value, expected)
    found = tuple(value)
    for item in found:
        if not isinstance(item, one):
            refuse(name, item, expected)
    return found


def texts(name: str, value: object) -> tuple[str, ...]:
    """One str or several."""
    return items(name, value, "a str or several")


def platforms(name: str, value: object, host: Platform) -> tuple[Platform, ...]:
    """Platforms in order, without duplicates. Raises UsageError for text that is not a platform."""
    found: list[Platform] = []
    for item in items(name, value, "a str, a Platform, or several of them", (str, Platform)):
        found += [platforms_.normalize(item)] if isinstance(item, Platform) else platforms_.parse_list([item], host)
    return tuple(dict.fromkeys(found))


def platform(name: str, value: object, host: Platform) -> Platform | None:
    """One platform or None."""
    if value is None:
        return None
    if not isinstance(value, str | Platform):
        refuse(name, value, "a str or a Platform")
    found = platforms(name, value, host)
    if len(found) != 1:
        refuse(name, value, "one platform")
    return found[0]


def image(name: str, value: object) -> str:
    """The name or id of an image, as text."""
    if not isinstance(value, str | Reference):
        refuse(name, value, "the name of an image: a str or a Reference")
    if not str(value):
        refuse(name, value, "the name of an image")
    return str(value)


def images(name: str, value: object) -> tuple[str, ...]:
    """One or more names or ids of images. Raises UsageError if there is none."""
    expected = "the name of an image or several: str or Reference"
    found = tuple(image(name, item) for item in items(name, value, expected, (str, Reference)))
    if not found:
        refuse(name, value, expected)
    return found


def reference(name: str, value: object) -> Reference:
    """A reference. Raises UsageError for text that is not one."""
    return value if isinstance(value, Reference) else references.parse(image(name, value))


def pairs(name: str, value: object, *, secret: bool = False) -> dict[str, str]:
    """A mapping of str to str. With `secret`, messages show no value but numbers."""
    if not isinstance(value, Mapping):
        refuse(name, value, "a mapping of str to str", secret=secret)
    for key, item in value.items():
        if not isinstance(key, str) or not isinstance(item, str):
            hidden = secret and not isinstance(item, int | float)
            refuse(f"{name}[{key!r}]", item, "a mapping of str to str", secret=hidden)
    return dict(value)


def is_readable(value: object) -> bool:
    """Whether a value is a file object to read from."""
    return callable(getattr(value, "read", None))


def is_writable(value: object) -> bool:
    """Whether a value is a file object to write to."""
    return callable(getattr(value, "write", None))
