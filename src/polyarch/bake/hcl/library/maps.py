"""Maps and objects."""

from collections.abc import Sequence

from polyarch.bake.hcl import convert, types, values
from polyarch.bake.hcl.functions import FunctionError, FunctionHost, FunctionTable
from polyarch.bake.hcl.types import HclType, ListType, MapType, TupleType
from polyarch.bake.hcl.values import HclValue

TABLE = FunctionTable()


def _mapping(value: HclValue) -> None:
    if not value.is_mapping:
        raise FunctionError(f"a map or object is required, but this is {types.friendly(value.type)}")


@TABLE.define("keys inputMap:any")
def _keys(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    _mapping(given[0])
    found = [values.text(name) for name in sorted(given[0].data)]
    return values.list_of(types.STRING, found) if isinstance(given[0].type, MapType) else values.tuple_of(found)


@TABLE.define("values mapping:any")
def _values(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    _mapping(given[0])
    found = given[0].elements()
    kind = given[0].type
    return values.list_of(kind.element, found) if isinstance(kind, MapType) else values.tuple_of(found)


@TABLE.define("lookup inputMap:any key:string default:any")
def _lookup(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    _mapping(given[0])
    kind = given[0].type
    default = given[2]
    if isinstance(kind, MapType):
        default = convert.convert(default, kind.element)
    found: HclValue = given[0].data.get(given[1].data, default)
    return found


@TABLE.define("merge *maps:any?")
def _merge(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    found: dict[str, HclValue] = {}
    for one in given:
        if types.is_dynamic(one.type):
            continue
        _mapping(one)
        found |= one.data or {}
    kinds: set[HclType] = {one.type for one in given}
    if len(kinds) == 1:
        kind = next(iter(kinds))
        if isinstance(kind, MapType):
            return values.map_of(kind.element, found)
    return values.object_of(found)


@TABLE.define("zipmap keys:strings values:any")
def _zipmap(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    kind = given[1].type
    if not isinstance(kind, ListType | TupleType):
        raise FunctionError(f"values must be a list or tuple, but is {types.friendly(kind)}")
    keys, elements = given[0].data, given[1].data
    if len(keys) != len(elements):
        raise FunctionError(f"there are {len(keys)} keys and {len(elements)} values")
    if any(key.is_null for key in keys):
        raise FunctionError("a key is null")
    found = {key.data: one for key, one in zip(keys, elements, strict=True)}
    return values.map_of(kind.element, found) if isinstance(kind, ListType) else values.object_of(found)
