"""Values of a canonical project in the form in which they are printed and used. `shapes.py` says which value has which
form.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from polyarch.compose import casts, gotext, shortforms
from polyarch.compose.places import ComposeError, TreePath, shown


class Absent:
    """The form of a value that is left out."""


ABSENT = Absent()
_Form = Callable[[Any, TreePath], Any]


class Single(float):
    """A number of 32 bits, which is printed shorter."""


def text(value: Any, path: TreePath) -> Any:
    return "" if value is None else value if isinstance(value, str) else gotext.number(value)


def flag(value: Any, path: TreePath) -> Any:
    return casts.boolean(value) if isinstance(value, str) else bool(value)


def whole(value: Any, path: TreePath) -> Any:
    return casts.integer(value) if isinstance(value, str) else int(value or 0)


def single(value: Any, path: TreePath) -> Any:
    return Single(casts.number(value) if isinstance(value, str) else float(value or 0))


def byte_count(value: Any, path: TreePath) -> Any:
    number = gotext.size(value) if isinstance(value, str) else int(value or 0)
    return str(number)


def duration(value: Any, path: TreePath) -> Any:
    return gotext.duration(value or "0s")


def mode(value: Any, path: TreePath) -> Any:
    """Permissions. In a text the digits are octal."""
    if value is None:
        return ABSENT
    try:
        number = int(value, 8) if isinstance(value, str) else int(value)
    except ValueError:
        raise ValueError(f"{value!r} is not a mode in octal digits") from None
    return f"0{number:o}"


def texts(value: Any, path: TreePath) -> Any:
    return [gotext.number(one) for one in ([value] if isinstance(value, str) else value or ())]


def pairs(value: Any, path: TreePath) -> dict[str, str | None]:
    """`K=V` by their keys; a key without a value has None."""
    if isinstance(value, Mapping):
        return {key: None if one is None else gotext.number(one) for key, one in value.items()}
    found: dict[str, str | None] = {}
    for one in value or ():
        key, equals, rest = one.partition("=")
        if key and key[-1].isspace():
            raise ValueError(f"the variable {key!r} ends with a space")
        found[key] = rest if equals else None
    return found


def options(value: Any, path: TreePath) -> dict[str, str]:
    """`K=V` by their keys; a key without a value has an empty one."""
    if isinstance(value, Mapping):
        return {key: "" if one is None else gotext.number(one) for key, one in value.items()}
    return dict(one.partition("=")[::2] for one in value or ())


def multi(value: Any, path: TreePath) -> dict[str, list[str]]:
    return {
        key: [gotext.number(each) for each in (one if isinstance(one, list) else [one])] for key, one in value.items()
    }


def command(value: Any, path: TreePath) -> Any:
    return ABSENT if value is None else shortforms.command(value, path) if isinstance(value, str) else list(value)


def test(value: Any, path: TreePath) -> Any:
    return ["CMD-SHELL", value] if isinstance(value, str) else list(value or ())


def host_addresses(value: Any, path: TreePath) -> dict[str, list[str]]:
    """The addresses of each extra host."""
    found: dict[str, list[str]] = {}
    if isinstance(value, Mapping):
        found = {host: one if isinstance(one, list) else [one or ""] for host, one in value.items()}
    else:
        for one in value or ():
            match = re.match(r"([^=]*)=(.*)|([^:]*):(.*)", one)
            if match is None:
                raise ValueError(f"{one!r} has no address")
            host = match[1] if match[3] is None else match[3]
            found.setdefault(host, []).extend((match[2] if match[3] is None else match[4]).split(","))
    for host in found:
        if not host or ":" in host or "=" in host:
            raise ValueError(f"{host!r} is not the name of a host")
    return {
        host: [one[1:-1] if one[:1] == "[" and one[-1:] == "]" else one for one in at] for host, at in found.items()
    }


def hosts(value: Any, path: TreePath) -> Any:
    return sorted(f"{host}={one}" for host, all_ in host_addresses(value, path).items() for one in all_)


def ssh(value: Any, path: TreePath) -> Any:
    return [f"{name}={at}" if at else name for name, at in sorted((value or {}).items())]


def count(value: Any, path: TreePath) -> Any:
    """A number of devices; -1 is all."""
    if isinstance(value, str) and value.lower() == "all":
        return -1
    return whole(value, path)


FORMS: Mapping[str, _Form] = {
    "text": text,
    "flag": flag,
    "int": whole,
    "float": single,
    "bytes": byte_count,
    "duration": duration,
    "mode": mode,
    "texts": texts,
    "pairs": pairs,
    "options": options,
    "multi": multi,
    "command": command,
    "test": test,
    "hosts": hosts,
    "ssh": ssh,
    "count": count,
}
# A value of these forms that is left out. A command that is empty is not: it replaces that of the image.
EMPTY: Mapping[str, object] = {
    "text": "",
    "flag": False,
    "int": 0,
    "float": 0.0,
    "bytes": "0",
    "duration": "0s",
    "count": 0,
    "texts": [],
    "test": [],
    "hosts": [],
    "ssh": [],
    "pairs": {},
    "options": {},
    "multi": {},
}


def formed(form: str, value: Any, path: TreePath) -> Any:
    """A value in its form. Raises ComposeError, which has no place."""
    try:
        return FORMS[form](value, path)
    except ValueError as error:
        raise ComposeError(f"{shown(path)}: {error}") from None
