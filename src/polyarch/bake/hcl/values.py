"""HCL's values: each has a type, also null and the elements of a collection. Texts are in Unicode's form NFC."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from polyarch.bake.hcl import decimals, types
from polyarch.bake.hcl.numbers import BigFloat, from_integer
from polyarch.bake.hcl.types import HclType, ListType, MapType, ObjectType, SetType, TupleType

# Files with these limits take seconds; what is larger only appears when expressions multiply what others give.
MAX_TEXT = 8 << 20
MAX_ELEMENTS = 500_000


class ValueTooLargeError(ValueError):
    """A value that exceeds the limits."""


class HclValue(msgspec.Struct, frozen=True, eq=False):
    """One value. `data` is a str, a BigFloat or a bool; a tuple of values for lists, tuples and sets; a dict for maps
    and objects; None for null. `size` is the number of values in it. `unset` is the name of the variable without a
    value that this null is.
    """

    type: HclType
    data: Any
    size: int = 1
    unset: str = ""

    @property
    def is_null(self) -> bool:
        """Whether it is null."""
        return self.data is None

    @property
    def is_sequence(self) -> bool:
        """Whether it is of a list, tuple or set type."""
        return isinstance(self.type, ListType | TupleType | SetType)

    @property
    def is_mapping(self) -> bool:
        """Whether it is of a map or object type."""
        return isinstance(self.type, MapType | ObjectType)

    def items(self) -> Iterator[tuple["HclValue", "HclValue"]]:
        """The keys and values that an iteration gives: those of a mapping sorted, of a set each value twice."""
        if self.is_mapping:
            for key in sorted(self.data):
                yield text(key), self.data[key]
        elif isinstance(self.type, SetType):
            yield from ((element, element) for element in self.data)
        else:
            yield from ((integer(index), element) for index, element in enumerate(self.data))

    def elements(self) -> list["HclValue"]:
        """The values that an iteration gives."""
        return [value for _, value in self.items()]


def text(value: str) -> HclValue:
    """A string. Raises ValueTooLargeError."""
    if len(value) > MAX_TEXT:
        raise ValueTooLargeError(f"a text of {len(value)} characters is too long: {MAX_TEXT} are the most")
    return HclValue(types.STRING, value if value.isascii() else unicodedata.normalize("NFC", value))


def number(value: BigFloat) -> HclValue:
    """A number."""
    return HclValue(types.NUMBER, value)


def integer(value: int) -> HclValue:
    """A whole number, with the precision of an int64."""
    return HclValue(types.NUMBER, from_integer(value))


def boolean(value: bool) -> HclValue:
    """A boolean."""
    return HclValue(types.BOOL, value)


def null(of: HclType = types.DYNAMIC, unset: str = "") -> HclValue:
    """A null of this type."""
    return HclValue(of, None, 1, unset)


def _size(elements: Iterable[HclValue]) -> int:
    total = 1 + sum(element.size for element in elements)
    if total > MAX_ELEMENTS:
        raise ValueTooLargeError(f"a value of {total} elements is too large: {MAX_ELEMENTS} are the most")
    return total


def tuple_of(elements: Iterable[HclValue]) -> HclValue:
    """A tuple. Raises ValueTooLargeError."""
    data = tuple(elements)
    return HclValue(TupleType(tuple(element.type for element in data)), data, _size(data))


def object_of(attributes: Mapping[str, HclValue]) -> HclValue:
    """An object. Raises ValueTooLargeError."""
    data = {text(name).data: value for name, value in attributes.items()}
    return HclValue(types.object_type({name: value.type for name, value in data.items()}), data, _size(data.values()))


def list_of(element: HclType, elements: Iterable[HclValue]) -> HclValue:
    """A list whose elements are of this type."""
    data = tuple(elements)
    return HclValue(ListType(element), data, _size(data))


def map_of(element: HclType, values: Mapping[str, HclValue]) -> HclValue:
    """A map whose values are of this type."""
    data = {text(name).data: value for name, value in values.items()}
    return HclValue(MapType(element), data, _size(data.values()))


def set_of(element: HclType, elements: Iterable[HclValue]) -> HclValue:
    """A set whose elements are of this type: each once, in order."""
    found: dict[object, HclValue] = {}
    for one in elements:
        found.setdefault(identity(one), one)
    data = tuple(sorted(found.values(), key=_order))
    return HclValue(SetType(element), data, _size(data))


def identity(value: HclValue) -> object:
    """A key that equal values share."""
    if value.is_null:
        return None
    if isinstance(value.data, tuple):
        return (value.type, tuple(map(identity, value.data)))
    if isinstance(value.data, dict):
        return (value.type, tuple(sorted((name, identity(one)) for name, one in value.data.items())))
    return (value.type, value.data)


def equal(one: HclValue, other: HclValue) -> bool:
    """Whether two values are of the same type and equal. Nulls are equal to each other, whatever their types."""
    if one.is_null or other.is_null:
        return one.is_null and other.is_null
    if one.type != other.type:
        return False
    if isinstance(one.data, tuple):
        return len(one.data) == len(other.data) and all(map(equal, one.data, other.data))
    if isinstance(one.data, dict):
        same = one.data.keys() == other.data.keys()
        return same and all(equal(value, other.data[name]) for name, value in one.data.items())
    return bool(one.data == other.data)


def _order(value: HclValue) -> tuple[bool, Any]:
    """The order of the elements of a set: numbers and texts as such, others by what cty hashes; nulls are last."""
    if value.is_null:
        return True, ""
    if isinstance(value.data, str):
        return False, value.data.encode("utf-8", "surrogatepass")
    if isinstance(value.data, bool | BigFloat):
        return False, value.data
    return False, _hashed(value).encode("utf-8", "surrogatepass")


def _hashed(value: HclValue) -> str:
    """What cty hashes for a value in a set (set_internals.go)."""
    if value.is_null:
        return "~"
    if isinstance(value.data, bool):
        return "T" if value.data else "F"
    if isinstance(value.data, BigFloat):
        return decimals.general(value.data, 10)
    if isinstance(value.data, str):
        return '"' + value.data.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value.type, MapType):
        return "{" + "".join(f"{_hashed(text(key))}:{_hashed(value.data[key])};" for key in sorted(value.data)) + "}"
    if isinstance(value.type, ObjectType):
        return "<" + "".join(f"{_hashed(value.data[key])};" for key in sorted(value.data)) + ">"
    opened, closed = "<>" if isinstance(value.type, TupleType) else "[]"
    return opened + "".join(f"{_hashed(element)};" for element in value.data) + closed
