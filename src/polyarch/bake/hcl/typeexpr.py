"""Types as they are written: `string`, `list(number)`, `object({name = string})` (HCL's extension typeexpr)."""

from collections.abc import Callable, Mapping
from typing import NoReturn

from polyarch.bake.hcl import syntax, types
from polyarch.bake.hcl.source import HclError
from polyarch.bake.hcl.syntax import CallExpr, Expr
from polyarch.bake.hcl.types import HclType

_PRIMITIVES = {"string": types.STRING, "number": types.NUMBER, "bool": types.BOOL, "any": types.DYNAMIC}
_COLLECTIONS: Mapping[str, Callable[[HclType], HclType]] = {
    "list": types.ListType,
    "set": types.SetType,
    "map": types.MapType,
}
_CONSTRUCTORS = (*_PRIMITIVES, *_COLLECTIONS, "object", "tuple")


def parse(expression: Expr) -> HclType:  # noqa: RET503 (`_fail` does not return)
    """The type that an expression writes. Raises HclError."""
    expression = syntax.native(expression)
    word = syntax.keyword(expression)
    if word in _PRIMITIVES:
        return _PRIMITIVES[word]
    if isinstance(expression, CallExpr):
        return _constructed(expression)
    if word in ("list", "set", "map"):
        _fail(expression, f"{word} needs the type of its elements", f"as in {word}(string)")
    if word in ("object", "tuple"):
        _fail(expression, f"{word} needs types", "as in object({name = string}) or tuple([string, number])")
    from difflib import get_close_matches

    near = get_close_matches(word, _CONSTRUCTORS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known types: {', '.join(_CONSTRUCTORS)}"
    _fail(expression, f"{word!r} is not a type" if word else "this is not a type", hint)


def _fail(expression: Expr, reason: str, hint: str | None = None) -> NoReturn:
    raise HclError(reason, hint, at=expression.span)


def _constructed(call: CallExpr) -> HclType:
    if call.name in _PRIMITIVES:
        _fail(call, f"{call.name} has no arguments")
    if call.name not in (*_COLLECTIONS, "object", "tuple"):
        optional = call.name == "optional"
        _fail(call, "only an attribute of an object can be optional" if optional else f"{call.name} is not a type")
    if len(call.arguments) != 1:
        _fail(call, f"{call.name} has one argument, not {len(call.arguments)}")
    argument = syntax.native(call.arguments[0])
    if call.name in _COLLECTIONS:
        return _COLLECTIONS[call.name](parse(argument))
    if call.name == "tuple":
        if not isinstance(argument, syntax.TupleExpr):
            _fail(argument, "tuple needs a list of types", "as in tuple([string, number])")
        return types.TupleType(tuple(map(parse, argument.items)))
    if not isinstance(argument, syntax.ObjectExpr):
        _fail(argument, "object needs names and types", "as in object({name = string})")
    return _object(argument)


def _object(argument: syntax.ObjectExpr) -> HclType:
    found: dict[str, HclType] = {}
    optional: set[str] = set()
    for item in argument.items:
        name = syntax.keyword(item.key)
        if not name:
            _fail(item.key, "the name of an attribute is a plain word")
        if name in found:
            _fail(item.key, f"the attribute {name!r} appears twice")
        value = syntax.native(item.value)
        if isinstance(value, CallExpr) and value.name == "optional":
            if len(value.arguments) != 1:
                _fail(value, "optional has one argument, the type of the attribute")
            optional.add(name)
            value = value.arguments[0]
        found[name] = parse(value)
    return types.object_type(found, frozenset(optional))
