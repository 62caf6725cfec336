"""Conversion of values between types, and the common type of several (cty's package convert)."""

from collections.abc import Callable, Sequence

from polyarch.bake.hcl import decimals, numbers, types, unification, values
from polyarch.bake.hcl.types import (
    BOOL,
    DYNAMIC,
    NUMBER,
    STRING,
    HclType,
    ListType,
    MapType,
    ObjectType,
    SetType,
    TupleType,
)
from polyarch.bake.hcl.values import HclValue


class ConversionError(ValueError):
    """A value that cannot have the type that is required."""


def convert(value: HclValue, target: HclType) -> HclValue:
    """The value in another type. Raises ConversionError."""
    if value.type == types.without_optional(target) or types.is_dynamic(target):
        return value
    if not convertible(value.type, target, unsafe=True):
        raise ConversionError(mismatch(value.type, target))
    return _converted(value, target)


def convertible(source: HclType, target: HclType, *, unsafe: bool) -> bool:
    """Whether values of a type can be converted; `unsafe` conversions may fail for some values."""
    if source == target or types.is_dynamic(target):
        return True
    if types.is_dynamic(source):
        return unsafe
    if types.is_primitive(source) and types.is_primitive(target):
        return target == STRING or (unsafe and source == STRING)
    match source, target:
        case ObjectType(), ObjectType():
            return _objects(source, target, unsafe)
        case TupleType(), TupleType():
            pairs = zip(source.elements, target.elements, strict=False)
            same = len(source.elements) == len(target.elements)
            return same and all(convertible(one, other, unsafe=unsafe) for one, other in pairs)
        case ((ListType() | SetType()), ListType()):
            return convertible(source.element, target.element, unsafe=unsafe)
        case ((ListType() | SetType()), SetType()):
            return (unsafe or isinstance(source, SetType)) and convertible(
                source.element, target.element, unsafe=unsafe
            )
        case MapType(), MapType():
            return convertible(source.element, target.element, unsafe=unsafe)
        case TupleType(), (ListType() | SetType()):
            return _to_collection(source.elements, target.element, unsafe)
        case ObjectType(), MapType():
            return _to_collection([one for _, one in source.attributes], target.element, unsafe, loose=True)
        case MapType(), ObjectType():
            wanted = target.attributes
            return unsafe and all(
                name in target.optional or convertible(source.element, one, unsafe=True) for name, one in wanted
            )
        case _:
            return False


def _objects(source: ObjectType, target: ObjectType, unsafe: bool) -> bool:
    have = source.types()
    return all(
        name in target.optional if name not in have else convertible(have[name], one, unsafe=unsafe)
        for name, one in target.attributes
    )


def _to_collection(elements: Sequence[HclType], element: HclType, unsafe: bool, loose: bool = False) -> bool:
    if not elements:
        return True
    if types.is_dynamic(element):
        found = unify(elements, unsafe=unsafe)
        if found is None:
            return False
        if types.is_dynamic(found):
            return loose or all(map(types.is_dynamic, elements))
        element = found
    return all(convertible(one, element, unsafe=unsafe) for one in elements)


def _converted(value: HclValue, target: HclType) -> HclValue:
    """The value in a type to which its type can be converted. Raises ConversionError."""
    if value.type == target or types.is_dynamic(target):
        return value
    if value.is_null:
        return values.null(_filled(value.type, types.without_optional(target)), value.unset)
    match target:
        case types.PrimitiveType():
            return _primitive(value, target)
        case ListType():
            return _sequence(value, target.element, values.list_of)
        case SetType():
            return _sequence(value, target.element, values.set_of)
        case MapType():
            return _mapping(value, target.element)
        case TupleType():
            pairs = zip(value.data, target.elements, strict=True)
            return values.tuple_of(convert(one, other) for one, other in pairs)
        case ObjectType():
            return _object(value, target)


def _primitive(value: HclValue, target: HclType) -> HclValue:
    data = value.data
    if target == STRING:
        return values.text(("false", "true")[data] if isinstance(data, bool) else decimals.plain(data))
    if target == NUMBER:
        try:
            return values.number(numbers.parse(data))
        except numbers.NumberError:
            raise ConversionError("a number is required") from None
    if target == BOOL and data in ("true", "1", "false", "0"):
        return values.boolean(data in ("true", "1"))
    lower = str(data).lower()
    hint = f'; to convert from string, use lowercase "{lower}"' if lower in ("true", "false") else ""
    raise ConversionError(f"a bool is required{hint}")


def _sequence(value: HclValue, element: HclType, make: Callable[[HclType, Sequence[HclValue]], HclValue]) -> HclValue:
    given = value.elements()
    plain = types.without_optional(element)
    if types.is_dynamic(element):
        if isinstance(value.type, TupleType):
            element = (unify([one.type for one in given], unsafe=True) if given else None) or DYNAMIC
        elif isinstance(value.type, ListType | SetType):
            element = value.type.element
        plain = element
    found = [convert(one, element) for one in given]
    if found:
        plain = _common([one.type for one in found], plain)
        found = [convert(one, plain) for one in found]
    return make(plain, found)


def _common(given: Sequence[HclType], wanted: HclType) -> HclType:
    """The type of converted elements, which may differ where the wanted type says `any`."""
    different = list(dict.fromkeys(given))
    if len(different) == 1:
        return different[0]
    found = unify(different, unsafe=True)
    if found is None or types.is_dynamic(found):
        raise ConversionError("all elements must have the same type")
    return found


def _mapping(value: HclValue, element: HclType) -> HclValue:
    given: dict[str, HclValue] = value.data
    plain = types.without_optional(element)
    if types.is_dynamic(element):
        if isinstance(value.type, MapType):
            element = value.type.element
        else:
            element = (unify([one.type for one in given.values()], unsafe=True) if given else None) or DYNAMIC
        plain = element
    found = {name: convert(one, element) for name, one in given.items()}
    if found:
        plain = _common([one.type for one in found.values()], plain)
        found = {name: convert(one, plain) for name, one in found.items()}
    return values.map_of(plain, found)


def _object(value: HclValue, target: ObjectType) -> HclValue:
    found: dict[str, HclValue] = {}
    for name, one in target.attributes:
        if name in value.data:
            found[name] = convert(value.data[name], one)
        elif name in target.optional:
            found[name] = values.null(types.without_optional(one))
        else:
            raise ConversionError(f"attribute {name!r} is required")
    return values.object_of(found)


def _filled(source: HclType, target: HclType) -> HclType:
    """The target type of a null, with the parts of its own type that the target leaves open."""
    if types.is_dynamic(source):
        return target
    if types.is_dynamic(target):
        return source
    match source, target:
        case ((ListType() | SetType()), ListType()):
            return ListType(_filled(source.element, target.element))
        case ((ListType() | SetType()), SetType()):
            return SetType(_filled(source.element, target.element))
        case MapType(), MapType():
            return MapType(_filled(source.element, target.element))
        case _:
            return target


def unify(given: Sequence[HclType], *, unsafe: bool) -> HclType | None:
    """The type to which values of all these types can be converted; None if there is none."""
    return unification.unify(given, unsafe, convertible)


def mismatch(source: HclType, target: HclType) -> str:
    """Why a conversion is not possible."""
    match source, target:
        case ObjectType(), ObjectType():
            have = source.types()
            missing = [name for name, _ in target.attributes if name not in have and name not in target.optional]
            if missing:
                return f"the attribute {missing[0]!r} is required"
            for name, one in target.attributes:
                if name in have and not convertible(have[name], one, unsafe=True):
                    return f"attribute {name!r}: {mismatch(have[name], one)}"
        case TupleType(), (ListType() | SetType()):
            for index, one in enumerate(source.elements):
                if not types.is_dynamic(target.element) and not convertible(one, target.element, unsafe=True):
                    return f"element {index}: {mismatch(one, target.element)}"
            return "all elements must have the same type"
        case ObjectType(), MapType():
            for name, one in source.attributes:
                if not types.is_dynamic(target.element) and not convertible(one, target.element, unsafe=True):
                    return f"element {name!r}: {mismatch(one, target.element)}"
            return "all elements must have the same type"
        case ((ListType() | SetType() | MapType()), (ListType() | SetType() | MapType())):
            if type(source) is type(target):
                return f"the elements: {mismatch(source.element, target.element)}"
    return f"{types.friendly(target)} required, but this is {types.friendly(source)}"
