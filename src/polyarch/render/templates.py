"""`--format`: the part of Go's text/template that docker's users type, over plain values (dicts, lists, strings).

Pipelines, fields, variables, `if`, `with`, `range`, and docker's functions (docker/cli, templates.go). A field is
found under its name, or else without regard to case, so that `.Config.Env` and `.config.Env` both read an image's
config. A field that a row does not have is an error that lists those it has; in deeper documents it is `<no value>`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from polyarch.errors import UsageError

Scope = dict[str, Any]
# What a piece of a template does: it yields text for the current value (`.`) and the variables in scope.
Node = Callable[[Any, Scope], Iterator[str]]
Value = Callable[[Any, Scope], Any]

_PIECES = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.DOTALL)
_TOKENS = re.compile(
    r"""\s*(?:(?P<string>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?)|(?P<punct>:=|[()|=,])"""
    r"""|(?P<variable>\$\w*)|(?P<chain>(?:\.\w+)+)|(?P<dot>\.)|(?P<word>\w+))"""
)
_ESCAPE = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"'}


class Template:
    """A parsed template. `table` says that it began with docker's word `table`, which asks for a header."""

    def __init__(self, source: str) -> None:
        self.table = source == "table" or source.startswith("table ")
        text = source.removeprefix("table").lstrip() if self.table else source
        # The shell hands over `\t` and `\n` as two characters, and docker reads them so.
        self._source = text.replace("\\t", "\t").replace("\\n", "\n")
        parser = _Parser(self._source)
        try:
            self._node = parser.block(())
        except RecursionError:
            raise _bad("it is nested too deeply") from None
        self.fields = parser.fields

    def render(self, value: Any) -> str:
        """The text for one value. Raises UsageError where the template asks for what is not there."""
        try:
            return "".join(self._node(value, {"$": value}))
        except RecursionError:
            raise _bad("it is nested too deeply") from None

    def header(self, titles: Mapping[str, str]) -> str:
        """The header line of a table: each field replaced by its title."""
        return "".join(self._node(_Titles(titles), {"$": _Titles(titles)}))


class _Titles(dict[str, str]):
    """A row whose every field is a title."""

    def __missing__(self, name: str) -> str:
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).upper()


class _Parser:
    """Reads a template from left to right; `fields` are the first names of the chains that it met."""

    def __init__(self, source: str) -> None:
        self.fields: list[str] = []
        self._pieces = list(_split(source))
        self._at = 0

    def block(self, ends: tuple[str, ...]) -> Node:
        """The nodes up to one of the words in `ends`, which stays unread; or up to the end of the text."""
        nodes: list[Node] = []
        while self._at < len(self._pieces):
            is_action, text = self._pieces[self._at]
            if not is_action:
                self._at += 1
                nodes.append(_literal(text))
                continue
            word, _, rest = text.partition(" ")
            if word in ends:
                return _sequence(nodes)
            if word in ("end", "else"):
                raise _bad(f"unexpected {{{{{word}}}}}")
            self._at += 1
            if text.startswith("/*"):
                continue
            if word in ("if", "with", "range"):
                nodes.append(self._control(word, rest))
            else:
                nodes.append(self._action(text))
        if ends:
            raise _bad("a {{range}}, {{if}} or {{with}} has no {{end}}")
        return _sequence(nodes)

    def _control(self, word: str, head: str) -> Node:
        names, value = self._declared(head)
        body = self.block(("else", "end"))
        _, text = self._pieces[self._at]
        self._at += 1
        otherwise: Node = _sequence([])
        if text.startswith("else"):
            chained = text.removeprefix("else").strip()
            if chained:
                inner, _, rest = chained.partition(" ")
                return _CONTROLS[word](names, value, body, self._control(inner, rest))
            otherwise = self.block(("end",))
            self._at += 1
        return _CONTROLS[word](names, value, body, otherwise)

    def _action(self, text: str) -> Node:
        names, value = self._declared(text)

        def act(dot: Any, scope: Scope) -> Iterator[str]:
            result = value(dot, scope)
            if names:
                scope[names[-1]] = result
            else:
                yield _text(result)

        return act

    def _declared(self, text: str) -> tuple[list[str], Value]:
        """The variables that `$i, $x := pipeline` sets, and the pipeline."""
        tokens = list(_tokens(text))
        names: list[str] = []
        signs = [position for position, (_, token) in enumerate(tokens) if token in (":=", "=")]
        if signs:
            names = [token for kind, token in tokens[: signs[0]] if kind == "variable"]
            tokens = tokens[signs[0] + 1 :]
        value, rest = self._pipeline(tokens)
        if rest:
            raise _bad(f"unexpected {rest[0][1]!r}")
        return names, value

    def _pipeline(self, tokens: list[tuple[str, str]]) -> tuple[Value, list[tuple[str, str]]]:
        value, tokens = self._command(tokens, None)
        while tokens and tokens[0][1] == "|":
            value, tokens = self._command(tokens[1:], value)
        return value, tokens

    def _command(self, tokens: list[tuple[str, str]], piped: Value | None) -> tuple[Value, list[tuple[str, str]]]:
        if not tokens:
            raise _bad("an empty {{}} or pipeline")
        kind, name = tokens[0]
        if kind == "word" and name not in ("true", "false", "nil"):
            if name not in _FUNCTIONS:
                raise _bad(f"function {name!r} is not known", f"known are {', '.join(sorted(_FUNCTIONS))}")
            tokens = tokens[1:]
            arguments: list[Value] = []
            while tokens and tokens[0][1] not in ("|", ")"):
                argument, tokens = self._operand(tokens)
                arguments.append(argument)
            if piped is not None:
                arguments.append(piped)
            return _call(name, arguments), tokens
        value, tokens = self._operand(tokens)
        if piped is not None:
            raise _bad(f"{name!r} is not a function, nothing can be piped into it")
        return value, tokens

    def _operand(self, tokens: list[tuple[str, str]]) -> tuple[Value, list[tuple[str, str]]]:
        (kind, token), tokens = tokens[0], tokens[1:]
        value: Value
        if token == "(":
            value, tokens = self._pipeline(tokens)
            if not tokens or tokens[0][1] != ")":
                raise _bad("a parenthesis is not closed")
            tokens = tokens[1:]
        elif kind == "string":
            value = _constant(_unquoted(token))
        elif kind == "number":
            value = _constant(float(token) if "." in token else int(token))
        elif kind == "word" and token in ("true", "false", "nil"):
            value = _constant({"true": True, "false": False, "nil": None}[token])
        elif kind == "variable":
            value = _variable(token)
        elif kind == "dot":
            value = _dot
        elif kind == "chain":
            names = token[1:].split(".")
            self.fields.append(names[0])
            return _chain(_dot, names), tokens
        else:
            raise _bad(f"unexpected {token!r}")
        while tokens and tokens[0][0] == "chain" and (token == "(" or kind == "variable"):
            value, tokens = _chain(value, tokens[0][1][1:].split(".")), tokens[1:]
        return value, tokens


def _split(source: str) -> Iterator[tuple[bool, str]]:
    """The text between actions, and the actions, with `{{-` and `-}}` having eaten the space beside them."""
    position, trim = 0, False
    for match in _PIECES.finditer(source):
        text = source[position : match.start()]
        text = text.lstrip() if trim else text
        yield False, text.rstrip() if match[1] else text
        yield True, match[2].strip()
        position, trim = match.end(), match[3] is not None
    rest = source[position:]
    if "{{" in rest:
        raise _bad("{{ is not closed")
    yield False, rest.lstrip() if trim else rest


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKENS.match(text, position)
        if match is None:
            raise _bad(f"cannot read {text[position:]!r}")
        assert match.lastgroup is not None
        yield match.lastgroup, match[match.lastgroup]
        position = match.end()


def _unquoted(token: str) -> str:
    if token[0] == "`":
        return token[1:-1]
    return re.sub(r"\\(.)", lambda match: _ESCAPE.get(match[1], match[1]), token[1:-1])


def _bad(message: str, hint: str | None = None) -> UsageError:
    return UsageError(
        f"the template of --format does not parse: {message}",
        hint or "a template reads as Go's, for example '{{.ID}} {{json .Platforms}}'; or say --format json",
    )


def _literal(text: str) -> Node:
    return lambda dot, scope: iter((text,))


def _constant(value: Any) -> Value:
    return lambda dot, scope: value


def _dot(dot: Any, scope: Scope) -> Any:
    return dot


def _variable(name: str) -> Value:
    def get(dot: Any, scope: Scope) -> Any:
        if name not in scope:
            raise _bad(f"variable {name} is not set")
        return scope[name]

    return get


def _sequence(nodes: list[Node]) -> Node:
    def run(dot: Any, scope: Scope) -> Iterator[str]:
        for node in nodes:
            yield from node(dot, scope)

    return run


def _if(names: list[str], value: Value, body: Node, otherwise: Node) -> Node:
    def run(dot: Any, scope: Scope) -> Iterator[str]:
        result = value(dot, scope)
        inner = {**scope, **({names[-1]: result} if names else {})}
        yield from (body if _true(result) else otherwise)(dot, inner)

    return run


def _with(names: list[str], value: Value, body: Node, otherwise: Node) -> Node:
    def run(dot: Any, scope: Scope) -> Iterator[str]:
        result = value(dot, scope)
        inner = {**scope, **({names[-1]: result} if names else {})}
        yield from body(result, inner) if _true(result) else otherwise(dot, inner)

    return run


def _range(names: list[str], value: Value, body: Node, otherwise: Node) -> Node:
    def run(dot: Any, scope: Scope) -> Iterator[str]:
        result = value(dot, scope)
        if not _true(result):
            yield from otherwise(dot, scope)
            return
        # Go walks a map in the order of its keys.
        pairs = sorted(result.items()) if isinstance(result, Mapping) else enumerate(result)
        for key, item in pairs:
            inner = {**scope, **dict(zip(reversed(names), (item, key), strict=False))}
            yield from body(item, inner)

    return run


_CONTROLS: dict[str, Callable[[list[str], Value, Node, Node], Node]] = {"if": _if, "with": _with, "range": _range}


def _true(value: Any) -> bool:
    return bool(value)


def _chain(start: Value, names: list[str]) -> Value:
    def get(dot: Any, scope: Scope) -> Any:
        value = start(dot, scope)
        for name in names:
            value = _field(value, name, is_row=value is scope.get("$"))
        return value

    return get


def _field(value: Any, name: str, *, is_row: bool) -> Any:
    if isinstance(value, _Titles):
        return value[name]
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise UsageError(f"--format: there is no field {name!r} in {_text(value)!r}")
    if name in value:
        return value[name]
    lowered = {str(key).lower().replace(".", ""): key for key in value}
    if name.lower() in lowered:
        return value[lowered[name.lower()]]
    if is_row:
        raise UsageError(f"--format: there is no field {name!r}", f"there are {', '.join(map(str, value))}")
    return None


def _text(value: Any) -> str:
    """A value as Go prints it."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{key}:{_text(item)}" for key, item in sorted(value.items())) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(_text, value)) + "]"
    return str(value)


def _call(name: str, arguments: list[Value]) -> Value:
    function = _FUNCTIONS[name]

    def call(dot: Any, scope: Scope) -> Any:
        values = [argument(dot, scope) for argument in arguments]
        if isinstance(dot, _Titles):
            # In a header a function changes nothing: `{{json .Name}}` stands under NAME.
            return next((value for value in values if isinstance(value, str)), "")
        try:
            return function(*values)
        except (TypeError, ValueError, AttributeError, IndexError, KeyError) as error:
            raise UsageError(f"--format: {name}: {error}") from error

    return call


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _pretty_json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=4).decode()


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if value is None:
            return None
        value = value.get(key) if isinstance(value, Mapping) else value[key]
    return value


def _slice(value: Any, *bounds: int) -> Any:
    return value[slice(*bounds)] if len(bounds) > 1 else value[bounds[0] if bounds else 0 :]


def _printf(form: str, *values: Any) -> str:
    return re.sub(r"%([-+ 0#]*\d*(?:\.\d+)?)v", r"%\1s", form) % tuple(
        value if isinstance(value, int | float) and not isinstance(value, bool) else _text(value) for value in values
    )


def _truncate(value: str, length: int) -> str:
    return value[:length]


def _pad(value: str, before: int, after: int) -> str:
    return " " * before + value + " " * after if value else value


def _split_text(value: str, separator: str) -> list[str]:
    return value.split(separator)


def _compare(decide: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    return lambda first, *others: any(decide(first, other) for other in others)


def _and(*values: Any) -> Any:
    return next((value for value in values if not value), values[-1])


def _or(*values: Any) -> Any:
    return next((value for value in values if value), values[-1])


def _join(values: Sequence[Any], separator: str) -> str:
    return separator.join(_text(value) for value in values)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "json": _json,
    "prettyjson": _pretty_json,
    "join": _join,
    "split": _split_text,
    "lower": lambda value: value.lower(),
    "upper": lambda value: value.upper(),
    "title": lambda value: value.title(),
    "pad": _pad,
    "truncate": _truncate,
    "println": lambda *values: " ".join(map(_text, values)) + "\n",
    "print": lambda *values: "".join(map(_text, values)),
    "printf": _printf,
    "len": len,
    "index": _index,
    "slice": _slice,
    "not": lambda value: not value,
    "and": _and,
    "or": _or,
    "eq": _compare(lambda one, other: bool(one == other)),
    "ne": _compare(lambda one, other: bool(one != other)),
    "lt": _compare(lambda one, other: bool(one < other)),
    "le": _compare(lambda one, other: bool(one <= other)),
    "gt": _compare(lambda one, other: bool(one > other)),
    "ge": _compare(lambda one, other: bool(one >= other)),
}
