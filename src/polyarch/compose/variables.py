"""`compose config --variables`: the variables that texts of the files have in them, with their defaults.

As in compose-go (template/variables.go): of a variable that is found several times, the last one found counts.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from polyarch.compose.interpolate import DEEPEST, TemplateError
from polyarch.compose.yamltext import scalar

_HEAD = re.compile(r"\$(\$|\{|[_a-z][_a-z0-9]*)", re.ASCII | re.IGNORECASE)
_NAMED = re.compile(r"([_a-z][_a-z0-9]*)(:?[-+?])?", re.ASCII | re.IGNORECASE)
_NAME = re.compile(r"[a-zA-Z0-9_]*")
_OPERATORS = (":?", "?", ":-", "-", ":+", "+")
_HEADER = ("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE")
_NARROWEST, _GAP = 20, 3


class ComposeVariable(msgspec.Struct, frozen=True):
    """A variable: `${NAME:-default}`, `${NAME:+presence}`, `${NAME:?}` if it is required."""

    name: str
    default: str = ""
    presence: str = ""
    required: bool = False


def found_in(tree: Any) -> dict[str, ComposeVariable]:
    """The variables in the texts of a tree, by name, sorted."""
    found = {one.name: one for text in _texts(tree) for one in _in_text(text)}
    return dict(sorted(found.items()))


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, Mapping):
        for key in sorted(tree):
            yield from _texts(tree[key])
    elif isinstance(tree, list):
        for one in tree:
            yield from _texts(one)


def _in_text(text: str) -> Iterator[ComposeVariable]:
    """The variables of a text. Raises TemplateError for defaults that are nested too deeply."""
    # Iterative: a text may have thousands, and what follows one is read as a text of its own.
    left: list[tuple[str, int] | ComposeVariable] = [(text, 0)]
    while left:
        last = left.pop()
        if isinstance(last, ComposeVariable):
            yield last
            continue
        words, depth = last
        if depth > DEEPEST:
            raise TemplateError("variables are nested too deeply")
        left += reversed([part for whole, body in _matches(words) for part in _parts(whole, body, depth)])


def _matches(text: str) -> Iterator[tuple[str, str]]:
    """What compose-go's pattern matches: the whole, and what names the variable. That of braces goes up to the last
    brace of the line; it is empty if there is none.
    """
    position = 0
    while (position := text.find("$", position)) >= 0:
        head = _HEAD.match(text, position)
        end = head.end() if head else position + 1
        if head and head[1] == "{":
            end, body = _braced(text, end)
            yield text[position:end], body
        elif head and head[1] != "$":
            yield head[0], head[1]
        position = end


def _braced(text: str, start: int) -> tuple[int, str]:
    """The end of a variable in braces whose name begins at `start`, and what is in them."""
    name = _NAMED.match(text, start)
    if name is not None and name[2]:
        line = text.find("\n", name.end())
        last = text.rfind("}", name.end(), line if line >= 0 else len(text))
        if last >= 0:
            return last + 1, text[start:last]
    if name is not None and text[name.end(1) : name.end(1) + 1] == "}":
        return name.end(1) + 1, name[1]
    return start, ""


def _parts(whole: str, body: str, depth: int) -> Iterable[tuple[str, int] | ComposeVariable]:
    """A variable, after the rest of what was matched, and before what is in its default."""
    rest = ""
    if whole.startswith("${"):
        end = _closing(whole)
        if end > 0:
            body, rest = whole[2:end], whole[end + 1 :]
    name = _NAME.match(body)
    size = name.end() if name else 0
    after = body[size:] if size else ""
    operator = next((one for one in _OPERATORS if after.startswith(one)), "")
    value = after[len(operator) :]
    default = value if operator.endswith("-") else ""
    presence = value if operator.endswith("+") else ""
    variable = ComposeVariable(body[:size] if size else body, default, presence, operator.endswith("?"))
    inner = [(one, depth + 1) for one in (default, presence) if "$" in one]
    return [*([(rest, depth)] if "$" in rest else []), variable, *inner]


def _closing(text: str) -> int:
    """The index of the brace that closes the first one; -1 if none does."""
    depth = index = 0
    while index < len(text):
        if text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
        elif text[index] == "{":
            depth += 1
            index += 1
        index += 1
    return -1


def as_table(variables: Mapping[str, ComposeVariable]) -> str:
    """A table as Go's tabwriter writes it, with columns of at least 20."""
    rows = [_HEADER]
    rows += [(one.name, str(one.required).lower(), one.default, one.presence) for one in variables.values()]
    widths = [max(_NARROWEST, *(len(row[column]) + _GAP for row in rows)) for column in range(3)]
    lines = ("".join(map(str.ljust, row, widths)) + row[3] for row in rows)
    return "".join(f"{line}\n" for line in lines)


def as_yaml(variables: Mapping[str, ComposeVariable]) -> str:
    """YAML with an indent of four, as go-yaml writes by default."""
    lines = []
    for one in variables.values():
        lines.append(f"{scalar(one.name, 0, is_key=True)}:")
        texts = {"name": one.name, "defaultvalue": one.default, "presencevalue": one.presence}
        lines += [f"    {key}: {scalar(value, 8)}" for key, value in texts.items()]
        lines.append(f"    required: {str(one.required).lower()}")
    return "\n".join(lines or ["{}"]) + "\n"


def as_json(variables: Mapping[str, ComposeVariable]) -> str:
    """JSON with an indent of four, an empty line after it."""
    shown = {
        name: {
            "Name": one.name,
            "DefaultValue": one.default,
            "PresenceValue": one.presence,
            "Required": one.required,
        }
        for name, one in variables.items()
    }
    return json.dumps(shown, indent=4, ensure_ascii=False) + "\n\n"
