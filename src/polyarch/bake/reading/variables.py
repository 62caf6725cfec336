"""Variables: their declarations, and their values from the command line, the environment or the default.

The rules are those of buildx (hclparser.go, resolveValue): a value from outside is text, which the type of the variable
or the kind of its default turns into something else. A NAME_JSON has values of every type.
"""

import re
from collections.abc import Mapping

import msgspec

from polyarch import csvfields
from polyarch.bake import entries
from polyarch.bake.hcl import numbers, types, values
from polyarch.bake.hcl.bodies import HclAttribute, HclBlock
from polyarch.bake.hcl.convert import ConversionError
from polyarch.bake.hcl.source import HclError, Span
from polyarch.bake.hcl.syntax import Expr
from polyarch.bake.hcl.types import HclType, ListType, MapType, SetType, TupleType
from polyarch.bake.hcl.values import HclValue

_JSON = "_JSON"
# As in Go, underscores may separate digits.
_FLOAT = r"[+-]?(?:\d(?:_?\d)*\.?(?:\d(?:_?\d)*)?|\.\d(?:_?\d)*)(?:[eE][+-]?\d+)?"
_HEX = r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?\d+"
VARIABLE_ATTRIBUTES = ("type", "default", "description")


class Validation(msgspec.Struct, frozen=True, eq=False):
    """A condition that the value of a variable must meet."""

    condition: Expr
    message: Expr


class VariableBlock(msgspec.Struct, frozen=True, eq=False):
    """The declaration of a variable."""

    name: str
    type: Expr | None
    default: HclAttribute | None
    description: HclAttribute | None
    validations: tuple[Validation, ...]
    at: Span


class BakeVariable(msgspec.Struct, frozen=True):
    """A variable, as `--list variables` shows it. `value` is None for null."""

    name: str
    description: str = ""
    type: str = ""
    value: str | None = None


def declared(block: HclBlock) -> VariableBlock:
    """The declaration in a block. Raises HclError."""
    attributes = block.body.attributes(("validation",))
    kind = attributes.get("type")
    return VariableBlock(
        block.labels[0],
        None if kind is None else kind.value,
        attributes.get("default"),
        attributes.get("description"),
        tuple(map(_validation, block.body.blocks("validation", 0))),
        block.at,
    )


def _validation(block: HclBlock) -> Validation:
    attributes = block.body.attributes()
    for name, attribute in attributes.items():
        if name not in ("condition", "error_message"):
            raise HclError(f"a validation has no attribute {name!r}", at=attribute.at)
    for name in ("condition", "error_message"):
        if name not in attributes:
            raise HclError(f"a validation needs {name}", at=block.at)
    return Validation(attributes["condition"].value, attributes["error_message"].value)


class Outside(msgspec.Struct, frozen=True):
    """Values from outside of the files: `--var`, then the environment. `builtin` are names that nothing replaces."""

    given: Mapping[str, str]
    environment: Mapping[str, str]
    builtin: Mapping[str, str]

    def find(self, name: str) -> str | None:
        """The text for a name; None if there is none."""
        return self.given.get(name, self.environment.get(name))

    def override(self, name: str, declared_names: Mapping[str, object], *, typed: bool) -> tuple[str, bool] | None:
        """The text for a variable, and whether it is JSON; None if there is none."""
        plain = self.find(name)
        if plain is None or typed:
            other = name + _JSON
            if other not in declared_names and other not in self.builtin and (text := self.find(other)) is not None:
                return text, True
        return None if plain is None else (plain, False)


def converted(name: str, text: str, json: bool, wanted: HclType | None, default: HclValue | None) -> HclValue:
    """A text from outside as a value. `wanted` is the type if the variable has one. Raises ConversionError."""
    if wanted is not None:
        if json:
            return _from_json(name, text, wanted)
        if isinstance(wanted, ListType | SetType | TupleType | MapType):
            return _from_csv(name, text, wanted)
        if types.is_primitive(wanted):
            return primitive(name, text, wanted)
        hint = f"set {name}{_JSON} to a value in JSON"
        raise ConversionError(f"a text cannot be {types.friendly(wanted)}: {hint}")
    if default is None or types.is_dynamic(default.type):
        return values.text(text)
    if not types.is_primitive(default.type):
        raise ConversionError(f"a text cannot replace {types.friendly(default.type)}: the variable needs a type")
    return primitive(name, text, default.type)


def primitive(name: str, text: str, wanted: HclType) -> HclValue:
    """A text as a string, boolean or number, in Go's spellings. Raises ConversionError."""
    if wanted == types.STRING:
        return values.text(text)
    if wanted == types.BOOL:
        flag = entries.boolean(text)
        if flag is None:
            raise ConversionError(f"{name} is {text!r}, which is neither true nor false")
        return values.boolean(flag)
    try:
        if re.fullmatch(_FLOAT, text, re.ASCII):
            found = float(text)
        elif re.fullmatch(_HEX, text):
            found = float.fromhex(text)
        else:
            raise ValueError
        if found in (float("inf"), float("-inf")):
            raise ValueError
        return values.number(numbers.from_float(found))
    except (ValueError, OverflowError):
        raise ConversionError(f"{name} is {text!r}, which is not a number") from None


def _from_csv(name: str, text: str, wanted: ListType | SetType | TupleType | MapType) -> HclValue:
    try:
        fields = csvfields.fields(text)
        if isinstance(wanted, MapType):
            pairs = [csvfields.fields(field, ":") for field in fields]
    except csvfields.CsvError as error:
        raise ConversionError(f"{name} is {text!r}, which is not comma-separated: {error}") from None
    if isinstance(wanted, TupleType):
        if len(fields) != len(wanted.elements):
            raise ConversionError(f"{name} has {len(fields)} elements, and needs {len(wanted.elements)}")
        pairs_of = zip(fields, wanted.elements, strict=True)
        return values.tuple_of([_element(name, field, one) for field, one in pairs_of])
    if isinstance(wanted, MapType):
        for pair in pairs:
            if len(pair) != 2:
                raise ConversionError(f"{name} has {':'.join(pair)!r}, which is not KEY:VALUE")
        return values.map_of(wanted.element, {key: _element(name, one, wanted.element) for key, one in pairs})
    make = values.list_of if isinstance(wanted, ListType) else values.set_of
    return make(wanted.element, [_element(name, field, wanted.element) for field in fields])


def _element(name: str, text: str, wanted: HclType) -> HclValue:
    if not types.is_primitive(wanted):
        raise ConversionError(f"{name} cannot be a text: set {name}{_JSON} to a value in JSON")
    return primitive(name, text, wanted)


def _from_json(name: str, text: str, wanted: HclType) -> HclValue:
    from polyarch.bake.hcl import jsonvalues

    try:
        return jsonvalues.typed(jsonvalues.parse(text), wanted)
    except (ValueError, RecursionError) as error:
        raise ConversionError(f"{name}{_JSON}: {error}") from None


def listed(name: str, description: str, value: HclValue, wanted: HclType | None) -> BakeVariable:
    """A variable for `--list variables`."""
    from polyarch.bake.hcl import jsonvalues

    kind = "" if wanted is None else types.constraint(wanted)
    if value.is_null:
        return BakeVariable(name, description, kind)
    if wanted is not None:
        text = jsonvalues.encoded(value, wanted)
        if wanted == types.STRING:
            text = text.strip('"')
    elif types.is_primitive(value.type):
        from polyarch.bake.hcl.convert import convert

        text = convert(value, types.STRING).data
    else:
        text = jsonvalues.encoded(value, value.type)
    return BakeVariable(name, description, kind, text)
