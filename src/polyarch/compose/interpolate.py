"""Variables in values: `$N`, `${N}`, `${N:-default}`, `${N-default}`, `${N:?error}`, `${N?error}`, `${N:+other}`,
`${N+other}`, nested, and `$$`.
"""

import re
from collections.abc import Callable, Mapping

from polyarch.compose.places import ComposeError

_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*", re.ASCII)
_OPERATORS = (":-", "-", ":?", "?", ":+", "+")
DEEPEST = 50
_HINT = "a $ that is not a variable is written $$"

# Called with the name of a variable that is not set.
Unset = Callable[[str], None]


class TemplateError(ComposeError):
    """A text with an invalid variable, or with a variable that must be set."""


def substituted(text: str, variables: Mapping[str, str], unset: Unset, depth: int = 0) -> str:
    """The text with the values of its variables. Raises TemplateError, which has no place."""
    if "$" not in text:
        return text
    if depth > DEEPEST:
        raise TemplateError("variables are nested too deeply")
    parts: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        parts.append(text[at:dollar])
        following = text[dollar + 1 : dollar + 2]
        name = _NAME.match(text, dollar + 1)
        if following == "$":
            parts.append("$")
            at = dollar + 2
        elif name is not None:
            parts.append(_plain(name[0], variables, unset))
            at = name.end()
        elif following == "{":
            end = _closing(text, dollar + 1)
            parts.append(_braced(text[dollar + 2 : end], variables, unset, depth, text))
            at = end + 1
        else:
            # A lone $ is text, as in docker compose.
            parts.append("$")
            at = dollar + 1
    return "".join((*parts, text[at:]))


def _plain(name: str, variables: Mapping[str, str], unset: Unset) -> str:
    if name not in variables:
        unset(name)
    return variables.get(name, "")


def _closing(text: str, start: int) -> int:
    """The index of the brace that closes the one at `start`."""
    depth = 0
    for index in range(start, len(text)):
        if text[index] == "{":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    raise TemplateError(f"in {text!r}, ${{ is not closed", _HINT)


def _braced(inner: str, variables: Mapping[str, str], unset: Unset, depth: int, text: str) -> str:
    name = _NAME.match(inner)
    rest = inner[name.end() :] if name else ""
    if name is None or (rest and not rest.startswith(_OPERATORS)):
        raise TemplateError(f"in {text!r}, ${{{inner}}} is not a variable", _HINT)
    if not rest:
        return _plain(name[0], variables, unset)
    operator = next(one for one in _OPERATORS if rest.startswith(one))
    other = substituted(rest[len(operator) :], variables, unset, depth + 1)
    value = variables.get(name[0])
    is_set = bool(value) if operator[0] == ":" else value is not None
    if operator[-1] == "-":
        return value or "" if is_set else other
    if operator[-1] == "+":
        return other if is_set else value or ""
    if not is_set:
        raise TemplateError(f"the variable {name[0]} is required" + (f": {other}" if other else ""))
    return value or ""
