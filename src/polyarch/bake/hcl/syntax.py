"""Expressions as a tree. Every node has a span; none knows how it is evaluated."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TypeAlias

import msgspec

from polyarch.bake.hcl.source import HclError, SourceFile, Span
from polyarch.bake.hcl.values import HclValue


class LiteralExpr(msgspec.Struct, frozen=True, eq=False):
    """A value that is written out: a number, a text, true, false or null."""

    value: HclValue
    span: Span


class VariableExpr(msgspec.Struct, frozen=True, eq=False):
    """The value of a name."""

    name: str
    span: Span


class AttributeStep(msgspec.Struct, frozen=True, eq=False):
    """`.name`"""

    name: str
    span: Span


class IndexStep(msgspec.Struct, frozen=True, eq=False):
    """`[key]`, or `.0`"""

    key: "Expr"
    span: Span


class TraversalExpr(msgspec.Struct, frozen=True, eq=False):
    """Attributes and elements of a value, one after the other."""

    source: "Expr"
    steps: tuple[AttributeStep | IndexStep, ...]
    span: Span


class SplatExpr(msgspec.Struct, frozen=True, eq=False):
    """`source[*]…`: `each` for every element, which is the variable `item` in it."""

    source: "Expr"
    item: str
    each: "Expr"
    span: Span


class CallExpr(msgspec.Struct, frozen=True, eq=False):
    """A call of a function. With `expand`, the elements of the last argument are arguments."""

    name: str
    arguments: tuple["Expr", ...]
    expand: bool
    span: Span


class UnaryExpr(msgspec.Struct, frozen=True, eq=False):
    """`-operand` or `!operand`"""

    operator: str
    operand: "Expr"
    span: Span


class BinaryExpr(msgspec.Struct, frozen=True, eq=False):
    """Two operands and an operator."""

    operator: str
    left: "Expr"
    right: "Expr"
    span: Span


class ConditionalExpr(msgspec.Struct, frozen=True, eq=False):
    """`condition ? yes : no`"""

    condition: "Expr"
    yes: "Expr"
    no: "Expr"
    span: Span


class TupleExpr(msgspec.Struct, frozen=True, eq=False):
    """`[items]`"""

    items: tuple["Expr", ...]
    span: Span


class ObjectItem(msgspec.Struct, frozen=True, eq=False):
    """`key = value`. A key that is a plain word is a text unless it is in parentheses."""

    key: "Expr"
    value: "Expr"


class ObjectExpr(msgspec.Struct, frozen=True, eq=False):
    """`{items}`. In JSON a key may appear once, in the native syntax the last one counts."""

    items: tuple[ObjectItem, ...]
    span: Span
    unique: bool = False


class ForExpr(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """`[for key_name, value_name in collection : value if condition]`, or with a `key` for an object."""

    key_name: str
    value_name: str
    collection: "Expr"
    key: "Expr | None"
    value: "Expr"
    condition: "Expr | None"
    group: bool
    span: Span


class WrappedExpr(msgspec.Struct, frozen=True, eq=False):
    """An expression in parentheses, or alone in a template: `"${x}"` is the value of x, whatever its type."""

    inner: "Expr"
    span: Span


class TemplateExpr(msgspec.Struct, frozen=True, eq=False):
    """The texts of the parts, joined."""

    parts: tuple["Expr", ...]
    span: Span


class JoinExpr(msgspec.Struct, frozen=True, eq=False):
    """The texts of all elements of a `%{for}`, joined."""

    items: "Expr"
    span: Span


class JsonTextExpr:
    """A string of JSON: a template, or where a word or a type is expected, an expression in the native syntax.

    It is parsed when it is needed, so that what nothing reads may be anything. The caller gives the parsers.
    """

    def __init__(
        self,
        text: str,
        span: Span,
        parse_template: "Callable[[SourceFile], Expr]",
        parse_expression: "Callable[[SourceFile], Expr]",
    ) -> None:
        self.text = text
        self.span = span
        self._parse_template = parse_template
        self._parse_expression = parse_expression

    @cached_property
    def template(self) -> "Expr":
        """The text as a template. Raises HclError."""
        return self._parse_template(SourceFile(self.span.file.name, self.text, self.span))

    @cached_property
    def expression(self) -> "Expr | None":
        """The text as an expression; None if it is not one."""
        try:
            return self._parse_expression(SourceFile(self.span.file.name, self.text, self.span))
        except HclError:
            return None


Expr: TypeAlias = (
    LiteralExpr
    | VariableExpr
    | TraversalExpr
    | SplatExpr
    | CallExpr
    | UnaryExpr
    | BinaryExpr
    | ConditionalExpr
    | TupleExpr
    | ObjectExpr
    | ForExpr
    | WrappedExpr
    | TemplateExpr
    | JoinExpr
    | JsonTextExpr
)


def native(expression: Expr) -> Expr:
    """The expression, or the one in the native syntax that a string of JSON holds."""
    return expression.expression or expression if isinstance(expression, JsonTextExpr) else expression


def keyword(expression: Expr) -> str:
    """The word of an expression that is a plain word; empty for every other one."""
    expression = native(expression)
    if isinstance(expression, VariableExpr):
        return expression.name
    if isinstance(expression, LiteralExpr):
        data = expression.value.data
        if data is None:
            return "null"
        return ("false", "true")[data] if isinstance(data, bool) else ""
    return ""


def literal_text(expression: Expr) -> str | None:
    """The text of an expression that is a string without `${…}`; None for every other one."""
    if isinstance(expression, TemplateExpr) and len(expression.parts) == 1:
        part = expression.parts[0]
        if isinstance(part, LiteralExpr) and isinstance(part.value.data, str):
            return part.value.data
    return None


def reference(expression: Expr) -> tuple[str, ...] | None:
    """The names of `a.b["c"]`; None for an expression of another form."""
    expression = native(expression)
    if isinstance(expression, VariableExpr):
        return (expression.name,)
    if not (isinstance(expression, TraversalExpr) and isinstance(expression.source, VariableExpr)):
        return None
    names = [expression.source.name]
    for step in expression.steps:
        name = step.name if isinstance(step, AttributeStep) else literal_text(step.key)
        if name is None:
            return None
        names.append(name)
    return tuple(names)


def children(expression: Expr) -> Iterator[tuple[Expr, frozenset[str]]]:
    """The expressions in an expression, each with the names that only it sees."""
    none: frozenset[str] = frozenset()
    match expression:
        case TraversalExpr():
            yield expression.source, none
            yield from ((step.key, none) for step in expression.steps if isinstance(step, IndexStep))
        case SplatExpr():
            yield expression.source, none
            yield expression.each, frozenset((expression.item,))
        case CallExpr():
            yield from ((argument, none) for argument in expression.arguments)
        case UnaryExpr():
            yield expression.operand, none
        case BinaryExpr():
            yield expression.left, none
            yield expression.right, none
        case ConditionalExpr():
            yield from ((part, none) for part in (expression.condition, expression.yes, expression.no))
        case TupleExpr():
            yield from ((item, none) for item in expression.items)
        case ObjectExpr():
            for item in expression.items:
                if not keyword(item.key):
                    yield item.key, none
                yield item.value, none
        case ForExpr():
            local = frozenset(filter(None, (expression.key_name, expression.value_name)))
            yield expression.collection, none
            parts = (expression.key, expression.value, expression.condition)
            yield from ((part, local) for part in parts if part is not None)
        case WrappedExpr():
            yield expression.inner, none
        case TemplateExpr():
            yield from ((part, none) for part in expression.parts)
        case JoinExpr():
            yield expression.items, none
        case JsonTextExpr():
            try:
                yield expression.template, none
            except HclError:
                # The error is raised where the value is needed.
                return


class VariableUse(msgspec.Struct, frozen=True, eq=False):
    """One use of a variable: its name, and the attributes that are taken from it, as far as they are constant."""

    name: str
    attributes: tuple[str, ...]
    indexed: bool
    span: Span


def uses(expression: Expr) -> tuple[list[VariableUse], list[CallExpr]]:
    """The variables and the function calls in an expression, without the variables that it defines itself."""
    references: list[VariableUse] = []
    calls: list[CallExpr] = []
    todo: list[tuple[Expr, frozenset[str]]] = [(expression, frozenset())]
    while todo:
        node, local = todo.pop()
        if isinstance(node, CallExpr):
            calls.append(node)
        if isinstance(node, VariableExpr):
            if node.name not in local:
                references.append(VariableUse(node.name, (), False, node.span))
            continue
        inner = list(children(node))
        if isinstance(node, TraversalExpr) and isinstance(node.source, VariableExpr):
            if node.source.name not in local:
                references.append(_reference(node, node.source))
            inner = inner[1:]
        todo.extend((child, local | names) for child, names in reversed(inner))
    return references, calls


def _reference(node: TraversalExpr, source: VariableExpr) -> VariableUse:
    names: list[str] = []
    for step in node.steps:
        if not isinstance(step, AttributeStep):
            break
        names.append(step.name)
    indexed = bool(node.steps) and isinstance(node.steps[0], IndexStep)
    return VariableUse(source.name, tuple(names), indexed, node.span)
