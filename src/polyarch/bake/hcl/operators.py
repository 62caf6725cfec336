"""Operators, and access to attributes and elements."""

from collections.abc import Mapping

from polyarch.bake.hcl import decimals, numbers, types, values
from polyarch.bake.hcl.convert import ConversionError, convert
from polyarch.bake.hcl.functions import FunctionError
from polyarch.bake.hcl.source import HclError, Span
from polyarch.bake.hcl.types import BOOL, DYNAMIC, NUMBER, STRING, HclType
from polyarch.bake.hcl.values import HclValue

# The type of the operand, which is that of the result.
UNARY: Mapping[str, HclType] = {"-": NUMBER, "!": BOOL}
# The types of the operands and of the result.
BINARY: Mapping[str, tuple[HclType, HclType]] = {
    **dict.fromkeys(("||", "&&"), (BOOL, BOOL)),
    **dict.fromkeys(("==", "!="), (DYNAMIC, BOOL)),
    **dict.fromkeys((">", ">=", "<", "<="), (NUMBER, BOOL)),
    **dict.fromkeys("+-*/%", (NUMBER, NUMBER)),
}


def binary(operator: str, left: HclValue, right: HclValue) -> HclValue:
    """The result of an operation. Raises NumberError, FunctionError."""
    if operator in ("==", "!="):
        return values.boolean(values.equal(left, right) == (operator == "=="))
    if left.is_null or right.is_null:
        raise FunctionError("an operand is null")
    one, other = left.data, right.data
    match operator:
        case "||":
            return values.boolean(one or other)
        case "&&":
            return values.boolean(one and other)
        case ">":
            return values.boolean(other < one)
        case ">=":
            return values.boolean(other <= one)
        case "<":
            return values.boolean(one < other)
        case "<=":
            return values.boolean(one <= other)
        case _:
            return values.number(arithmetic(operator, one, other))


def arithmetic(operator: str, one: numbers.BigFloat, other: numbers.BigFloat) -> numbers.BigFloat:
    """The result of an arithmetic operation. Raises NumberError."""
    match operator:
        case "+":
            return one + other
        case "-":
            return one - other
        case "*":
            return one * other
        case "/":
            return one / other
        case _:
            return one % other


def attribute(value: HclValue, name: str, at: Span) -> HclValue:
    """`value.name`. Raises HclError."""
    if value.is_null:
        raise HclError(f"null has no attribute {name!r}", at=at)
    if not value.is_mapping:
        kind = types.friendly(value.type)
        hint = "[*] takes an attribute of all elements, [0] the first element" if value.is_sequence else None
        raise HclError(f"{kind} has no attributes, so there is no {name!r}", hint, at=at)
    if name not in value.data:
        from difflib import get_close_matches

        close = get_close_matches(name, list(value.data), n=1)
        raise HclError(f"there is no attribute {name!r}", f"did you mean {close[0]}?" if close else None, at=at)
    found: HclValue = value.data[name]
    return found


def element(value: HclValue, key: HclValue, at: Span) -> HclValue:
    """`value[key]`. Raises HclError."""
    if value.is_null:
        raise HclError("null has no elements", at=at)
    if key.is_null:
        raise HclError("an index is null", at=at)
    if isinstance(value.type, types.SetType):
        raise HclError("a set has no order, so its elements have no index", "use 'for', or convert it to a list", at=at)
    try:
        if value.is_mapping:
            return _by_name(value, str(convert(key, STRING).data), at)
        if value.is_sequence:
            return _by_number(value, convert(key, NUMBER), at)
    except ConversionError as error:
        raise HclError(f"the index: {error}", at=at) from None
    raise HclError(f"{types.friendly(value.type)} has no elements", at=at)


def _by_name(value: HclValue, name: str, at: Span) -> HclValue:
    if name not in value.data:
        raise HclError(f"there is no element {name!r}", at=at)
    found: HclValue = value.data[name]
    return found


def _by_number(value: HclValue, key: HclValue, at: Span) -> HclValue:
    index: numbers.BigFloat = key.data
    if not index.is_whole or index.sign < 0:
        raise HclError(f"an index is a whole number from 0, not {decimals.plain(index)}", at=at)
    count = len(value.data)
    if index.mantissa.bit_length() + index.exponent > 64 or index.truncated() >= count:
        raise HclError(f"there is no element {decimals.plain(index)}: there are {count}, counted from 0", at=at)
    found: HclValue = value.data[index.truncated()]
    return found
