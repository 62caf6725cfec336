"""JSON documents as values of HCL, and back (cty's package json)."""

import json
from collections.abc import Sequence
from typing import Any

from polyarch.bake.hcl import decimals, numbers, types, values
from polyarch.bake.hcl.convert import ConversionError, convert
from polyarch.bake.hcl.types import HclType, ListType, MapType, ObjectType, SetType, TupleType
from polyarch.bake.hcl.values import HclValue

# Go escapes these for HTML and JavaScript.
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


class _Properties(list[tuple[str, Any]]):
    """An object's properties, each as often as it is written."""


def parse(text: str) -> HclValue:
    """The value of a document: objects and tuples. Raises ValueError."""
    found = json.loads(
        text,
        parse_float=numbers.parse,
        parse_int=numbers.parse,
        parse_constant=_refused,
        object_pairs_hook=_Properties,
    )
    return _value(found)


def _refused(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _value(found: Any) -> HclValue:
    if found is None:
        return values.null()
    if isinstance(found, bool):
        return values.boolean(found)
    if isinstance(found, str):
        return values.text(found.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))
    if isinstance(found, numbers.BigFloat):
        return values.number(found)
    if isinstance(found, _Properties):
        result: dict[str, HclValue] = {}
        for name, one in found:
            value = _value(one)
            if name in result and result[name].type != value.type:
                raise ValueError(f"the property {name!r} appears twice")
            result[name] = value
        return values.object_of(result)
    return values.tuple_of([_value(one) for one in found])


def typed(value: HclValue, wanted: HclType) -> HclValue:
    """A value of a document in a type: as converted, except that arrays are lists, sets or tuples, and that an object
    has no other properties than those of its type. Raises ConversionError.
    """
    if value.is_null:
        return values.null(types.without_optional(wanted))
    match wanted:
        case ObjectType() if isinstance(value.type, ObjectType):
            have, known = set(value.data), wanted.types()
            for name in sorted(have - known.keys()):
                raise ConversionError(f"there is no attribute {name!r}")
            missing = sorted(known.keys() - have - wanted.optional)
            if missing:
                raise ConversionError(f"the attribute {missing[0]!r} is required")
            found = {name: typed(value.data[name], one) for name, one in wanted.attributes if name in have}
            absent = {name: values.null(known[name]) for name in wanted.optional - have}
            return values.object_of({**found, **absent})
        case MapType() if isinstance(value.type, ObjectType) and not types.is_dynamic(wanted.element):
            given = {name: typed(one, wanted.element) for name, one in value.data.items()}
            return values.map_of(types.without_optional(wanted.element), given)
        case ListType() | SetType() if isinstance(value.type, TupleType) and not types.is_dynamic(wanted.element):
            make = values.list_of if isinstance(wanted, ListType) else values.set_of
            return make(types.without_optional(wanted.element), [typed(one, wanted.element) for one in value.data])
        case TupleType() if isinstance(value.type, TupleType) and len(value.data) == len(wanted.elements):
            return values.tuple_of([typed(*pair) for pair in zip(value.data, wanted.elements, strict=True)])
        case _:
            return convert(value, wanted)


def encoded(value: HclValue, wanted: HclType) -> str:
    """The value as JSON, with the spelling of Go's encoder. A `dynamic` type adds the actual one."""
    parts: list[str] = []
    _encode(value, wanted, parts)
    return "".join(parts)


def text(value: str) -> str:
    """A string as JSON, with the spelling of Go's encoder."""
    plain = json.dumps(value, ensure_ascii=False).translate(_ESCAPES)
    return plain.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _encode(value: HclValue, wanted: HclType, parts: list[str]) -> None:
    if types.is_dynamic(wanted) and not types.is_dynamic(value.type):
        parts.append('{"value":')
        _encode(value, value.type, parts)
        parts += [',"type":', type_text(value.type), "}"]
    elif value.is_null:
        parts.append("null")
    elif isinstance(value.data, bool):
        parts.append(("false", "true")[value.data])
    elif isinstance(value.data, str):
        parts.append(text(value.data))
    elif isinstance(value.data, numbers.BigFloat):
        if value.data.infinite:
            raise numbers.NumberError("JSON has no infinity")
        parts.append(decimals.plain(value.data))
    elif isinstance(value.data, dict):
        inner = wanted.types() if isinstance(wanted, ObjectType) else {}
        element = wanted.element if isinstance(wanted, MapType) else types.DYNAMIC
        parts.append("{")
        for index, name in enumerate(sorted(value.data)):
            parts.append(f"{',' if index else ''}{text(name)}:")
            _encode(value.data[name], inner.get(name, element), parts)
        parts.append("}")
    else:
        _encode_items(value.data, wanted, parts)


def _encode_items(items: Sequence[HclValue], wanted: HclType, parts: list[str]) -> None:
    parts.append("[")
    for index, one in enumerate(items):
        if index:
            parts.append(",")
        kind = one.type
        if isinstance(wanted, ListType | SetType):
            kind = wanted.element
        elif isinstance(wanted, TupleType):
            kind = wanted.elements[index]
        _encode(one, kind, parts)
    parts.append("]")


def type_text(given: HclType) -> str:
    """A type as cty writes it in JSON."""
    match given:
        case ListType():
            return f'["list",{type_text(given.element)}]'
        case SetType():
            return f'["set",{type_text(given.element)}]'
        case MapType():
            return f'["map",{type_text(given.element)}]'
        case TupleType():
            return f'["tuple",[{",".join(map(type_text, given.elements))}]]'
        case ObjectType():
            return f'["object",{{{",".join(f"{text(name)}:{type_text(one)}" for name, one in given.attributes)}}}]'
        case _:
            return text(given.name)
