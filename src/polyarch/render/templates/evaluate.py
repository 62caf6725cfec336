"""Evaluates the nodes of a Go template, by the rules of text/template (exec.go)."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from polyarch.render.templates import nodes
from polyarch.render.templates.formatting import shown
from polyarch.render.templates.functions import Function
from polyarch.render.templates.values import MISSING, described, field, is_true, kind, run_error

_ARTICLES = {"int": "an int", "string": "a string"}


class _BreakError(Exception):
    """{{break}}"""


class _ContinueError(Exception):
    """{{continue}}"""


class Evaluation:
    """One run of a template over one value. `out` holds the text so far, also when an error ended the run."""

    def __init__(
        self, root: Any, defined: Mapping[str, nodes.Block], functions: Mapping[str, Function], out: list[str]
    ) -> None:
        self.out = out
        self._root = root
        self._defined = defined
        self._functions = functions
        self._variables: list[tuple[str, Any]] = [("$", root)]

    def block(self, block: nodes.Block, dot: Any) -> None:
        """Evaluate nodes in order. Raises UsageError."""
        for node in block:
            match node:
                case nodes.Text(text):
                    self.out.append(text)
                case nodes.Action(pipe):
                    value = self._pipe(pipe, dot)
                    if not pipe.variables:
                        self.out.append("<no value>" if value is MISSING else shown(value))
                case nodes.If() | nodes.With():
                    self._condition(node, dot)
                case nodes.Range():
                    self._range(node, dot)
                case nodes.Call():
                    self._template(node, dot)
                case nodes.Break():
                    raise _BreakError
                case nodes.Continue():
                    raise _ContinueError

    def _condition(self, node: nodes.If | nodes.With, dot: Any) -> None:
        scope = len(self._variables)
        value = self._pipe(node.pipe, dot)
        if is_true(value):
            self.block(node.body, value if isinstance(node, nodes.With) else dot)
        else:
            self.block(node.otherwise, dot)
        del self._variables[scope:]

    def _range(self, node: nodes.Range, dot: Any) -> None:
        outer = len(self._variables)
        value = self._pipe(node.pipe, dot)
        scope = len(self._variables)
        items = _items(value, len(node.pipe.variables))
        try:
            for key, item in items:
                self._set_items(node.pipe, scope, key, item)
                with contextlib.suppress(_ContinueError):
                    self.block(node.body, item)
                del self._variables[scope:]
        except _BreakError:
            pass
        if not items:
            self.block(node.otherwise, dot)
        del self._variables[outer:]

    def _set_items(self, pipe: nodes.Pipe, scope: int, key: Any, item: Any) -> None:
        """Set the variables of {{range}}: one is the item, two are the key and the item."""
        values = (key, item)[-len(pipe.variables) :] if pipe.variables else ()
        for number, (name, value) in enumerate(zip(pipe.variables, values, strict=True)):
            if pipe.assigns:
                self._assign(name, value)
            else:
                self._variables[scope - len(values) + number] = (name, value)

    def _template(self, node: nodes.Call, dot: Any) -> None:
        body = self._defined.get(node.name)
        if body is None:
            raise run_error(f"template {node.name!r} is not defined")
        value = MISSING if node.pipe is None else self._pipe(node.pipe, dot)
        Evaluation(value, self._defined, self._functions, self.out).block(body, value)

    def _pipe(self, pipe: nodes.Pipe, dot: Any) -> Any:
        """The value of a pipeline; MISSING for nil, too. Sets the variables that it declares."""
        value: Any = MISSING
        for number, command in enumerate(pipe.commands):
            value = self._command(command, dot, [value] if number else [])
            value = MISSING if value is None else value
        for name in pipe.variables:
            if pipe.assigns:
                self._assign(name, value)
            else:
                self._variables.append((name, value))
        return value

    def _assign(self, name: str, value: Any) -> None:
        for number in reversed(range(len(self._variables))):
            if self._variables[number][0] == name:
                self._variables[number] = (name, value)
                return
        raise run_error(f"variable {name} is not set, := declares it")

    def _command(self, command: nodes.PipeCommand, dot: Any, piped: Sequence[Any]) -> Any:
        """The value of a command. `piped` is the value of the one before it, if there is one."""
        if isinstance(command.head, nodes.FunctionName):
            return self._call(command.head.name, command.arguments, dot, piped)
        if isinstance(command.head, nodes.Nil):
            raise run_error("nil is not a command")
        if command.arguments or piped:
            raise run_error("only a function takes arguments or can be piped into")
        return self._expression(command.head, dot)

    def _expression(self, expression: nodes.Expression, dot: Any) -> Any:
        match expression:
            case nodes.Dot():
                return dot
            case nodes.Nil():
                return None
            case nodes.Literal(value) | nodes.Number(value):
                return value
            case nodes.Field(names):
                return self._fields(dot, names)
            case nodes.Variable(name, names):
                return self._fields(self._variable(name), names)
            case nodes.Chain(nodes.Nil()):
                raise run_error("nil has no fields")
            case nodes.Chain(start, names):
                return self._fields(self._expression(start, dot), names)
            case nodes.Pipe():
                return self._pipe(expression, dot)
            case nodes.FunctionName(name):
                return self._call(name, (), dot, ())

    def _fields(self, value: Any, names: Sequence[str]) -> Any:
        for name in names:
            value = field(value, name, is_root=value is self._root)
        return value

    def _variable(self, name: str) -> Any:
        for known, value in reversed(self._variables):
            if known == name:
                return value
        raise run_error(f"variable {name} is not set")

    def _call(self, name: str, arguments: Sequence[nodes.Expression], dot: Any, piped: Sequence[Any]) -> Any:
        function = self._functions[name]
        count, least = len(arguments) + len(piped), len(function.parameters)
        if count < least or (count > least and function.more is None):
            most = "at least " if function.more else ""
            raise run_error(f"{name}: takes {most}{least} argument{'' if least == 1 else 's'}, not {count}")
        if name in ("and", "or"):
            return self._short_circuit(name, arguments, dot, piped)
        wanted = (*function.parameters, *[function.more or "any"] * (count - least))
        values = [
            _converted(name, self._expression(argument, dot), parameter, is_constant=isinstance(argument, nodes.Number))
            for argument, parameter in zip(arguments, wanted, strict=False)
        ]
        values += [_converted(name, value, wanted[-1], is_constant=False) for value in piped]
        return function.run(*values)

    def _short_circuit(self, name: str, arguments: Sequence[nodes.Expression], dot: Any, piped: Sequence[Any]) -> Any:
        """The first argument that decides, or the last. The arguments after it are not evaluated."""
        value: Any = MISSING
        for argument in arguments:
            value = self._expression(argument, dot)
            if is_true(value) == (name == "or"):
                return value
        return piped[0] if piped else value


def _items(value: Any, variables: int) -> Sequence[tuple[Any, Any]]:
    """What {{range}} goes through: keys or indexes, with the items. A map is ordered by its keys."""
    match kind(value):
        case "nil":
            return ()
        case "list":
            return [*enumerate(value)]
        case "map":
            return sorted(value.items())
        case "int":
            if variables > 1:
                raise run_error("range over an int takes one variable")
            return [(None, number) for number in range(value)]
    raise run_error(f"range cannot go through {described(value)}")


def _converted(name: str, value: Any, parameter: str, *, is_constant: bool) -> Any:
    """The value of an argument, checked against the kind of its parameter."""
    if parameter == "any":
        return None if value is MISSING else value
    if parameter == "int" and is_constant and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind(value) != parameter:
        raise run_error(f"{name}: takes {_ARTICLES[parameter]}, not {described(value)}")
    return value
