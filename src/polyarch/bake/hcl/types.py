"""The types of HCL's values (cty): primitives, collections of one type, and objects and tuples of several types."""

from collections.abc import Mapping
from typing import TypeAlias

import msgspec


class PrimitiveType(msgspec.Struct, frozen=True):
    """`string`, `number`, `bool`; and `dynamic`: the type of a literal null, and any type in a constraint."""

    name: str


class ListType(msgspec.Struct, frozen=True):
    """Values of one type, in order."""

    element: "HclType"


class SetType(msgspec.Struct, frozen=True):
    """Values of one type, each once."""

    element: "HclType"


class MapType(msgspec.Struct, frozen=True):
    """Values of one type by their keys."""

    element: "HclType"


class TupleType(msgspec.Struct, frozen=True):
    """Values in order, each of a type of its own."""

    elements: tuple["HclType", ...]


class ObjectType(msgspec.Struct, frozen=True):
    """Values by their names, each of a type of its own; the names are sorted. `optional` ones may be absent."""

    attributes: tuple[tuple[str, "HclType"], ...]
    optional: frozenset[str] = frozenset()

    def types(self) -> Mapping[str, "HclType"]:
        """The types by name."""
        return dict(self.attributes)


HclType: TypeAlias = PrimitiveType | ListType | SetType | MapType | TupleType | ObjectType

STRING = PrimitiveType("string")
NUMBER = PrimitiveType("number")
BOOL = PrimitiveType("bool")
DYNAMIC = PrimitiveType("dynamic")


def object_type(attributes: Mapping[str, HclType], optional: frozenset[str] = frozenset()) -> ObjectType:
    """The type of an object with these attributes."""
    return ObjectType(tuple(sorted(attributes.items(), key=lambda item: item[0])), optional)


def is_primitive(given: HclType) -> bool:
    """Whether values of a type are texts, numbers or booleans."""
    return isinstance(given, PrimitiveType) and given is not DYNAMIC and given.name != "dynamic"


def is_dynamic(given: HclType) -> bool:
    """Whether this is the type of a literal null."""
    return isinstance(given, PrimitiveType) and given.name == "dynamic"


def friendly(given: HclType) -> str:
    """The type in words, as in a message: `list of string`."""
    match given:
        case PrimitiveType():
            return given.name
        case ListType():
            return f"list of {friendly(given.element)}"
        case SetType():
            return f"set of {friendly(given.element)}"
        case MapType():
            return f"map of {friendly(given.element)}"
        case TupleType():
            return "tuple"
        case ObjectType():
            return "object"


def constraint(given: HclType) -> str:
    """The type as buildx lists it: like `friendly`, with words for what is not said."""
    return "any type" if is_dynamic(given) else friendly(given).replace("dynamic", "any single type")


def without_optional(given: HclType) -> HclType:
    """The type in which every attribute of an object is required."""
    match given:
        case ListType():
            return ListType(without_optional(given.element))
        case SetType():
            return SetType(without_optional(given.element))
        case MapType():
            return MapType(without_optional(given.element))
        case TupleType():
            return TupleType(tuple(map(without_optional, given.elements)))
        case ObjectType():
            return ObjectType(tuple((name, without_optional(one)) for name, one in given.attributes))
        case _:
            return given
