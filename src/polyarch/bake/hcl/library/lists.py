"""Lists and tuples."""

from collections.abc import Sequence

from polyarch.bake.hcl import convert, types, values
from polyarch.bake.hcl.functions import FunctionError, FunctionHost, FunctionTable, whole
from polyarch.bake.hcl.types import ListType, ObjectType, SetType, TupleType
from polyarch.bake.hcl.values import HclValue

TABLE = FunctionTable()


def _sequence(value: HclValue, *, sets: bool = True) -> None:
    """Raise FunctionError unless a value is a list or tuple, or a set where sets are allowed."""
    kinds = (ListType, TupleType, SetType) if sets else (ListType, TupleType)
    if not isinstance(value.type, kinds):
        raise FunctionError(f"a list or tuple is required, but this is {types.friendly(value.type)}")


@TABLE.define("coalescelist *vals:any?")
def _coalescelist(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    if not given:
        raise FunctionError("it takes at least one argument")
    for one in given:
        _sequence(one, sets=False)
    for one in given:
        if not one.is_null and one.data:
            return one
    raise FunctionError("all arguments are empty or null")


@TABLE.define("compact list:strings")
def _compact(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return values.list_of(types.STRING, [one for one in given[0].data if one.data])


@TABLE.define("concat *seqs:any")
def _concat(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    if not given:
        raise FunctionError("it takes at least one argument")
    if all(isinstance(one.type, ListType) for one in given):
        common = convert.unify([one.type for one in given], unsafe=True)
        if isinstance(common, ListType):
            found = [element for one in given for element in convert.convert(one, common).data]
            return values.list_of(common.element, found)
    for one in given:
        _sequence(one, sets=False)
    return values.tuple_of([element for one in given for element in one.data])


@TABLE.define("contains list:any value:any")
def _contains(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    _sequence(given[0])
    return values.boolean(any(values.equal(given[1], one) for one in given[0].data))


@TABLE.define("distinct list:list")
def _distinct(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    found: dict[object, HclValue] = {}
    for one in given[0].data:
        found.setdefault(values.identity(one), one)
    assert isinstance(given[0].type, ListType)
    return values.list_of(given[0].type.element, found.values())


@TABLE.define("chunklist list:list size:number")
def _chunklist(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    size = whole(given[1], "size")
    if size < 0:
        raise FunctionError("size is negative")
    kind, data = given[0].type, given[0].data
    assert isinstance(kind, ListType)
    step = size or max(1, len(data))
    chunks = [data[start : start + step] for start in range(0, len(data), step)]
    return values.list_of(kind, [values.list_of(kind.element, chunk) for chunk in chunks])


@TABLE.define("element list:any index:number")
def _element(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    _sequence(given[0], sets=False)
    index = whole(given[1], "index")
    if not given[0].data:
        raise FunctionError("the list is empty")
    found: HclValue = given[0].data[index % len(given[0].data)]
    return found


@TABLE.define("flatten list:any")
def _flatten(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    _sequence(given[0])
    found: list[HclValue] = []
    todo = [given[0]]
    while todo:
        one = todo.pop()
        if one.is_null or not one.is_sequence:
            found.append(one)
        else:
            todo.extend(reversed(one.data))
    return values.tuple_of(found)


@TABLE.define("hasindex collection:any key:any")
def _hasindex(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return values.boolean(_indexed(*given) is not None)


@TABLE.define("index collection:any key:any")
def _index(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    collection, key = given
    wanted = types.STRING if isinstance(collection.type, types.MapType) else types.NUMBER
    found = _indexed(collection, key)
    if key.type != wanted:
        raise FunctionError(f"key must be {types.friendly(wanted)}, but is {types.friendly(key.type)}")
    if found is None:
        raise FunctionError("there is no element with this key")
    return found


def _indexed(collection: HclValue, key: HclValue) -> HclValue | None:
    """The element with a key; None if there is none."""
    found: HclValue | None
    if isinstance(collection.type, types.MapType):
        found = collection.data.get(key.data) if isinstance(key.data, str) else None
        return found
    if isinstance(collection.type, ObjectType) or not collection.is_sequence or isinstance(collection.type, SetType):
        raise FunctionError(f"a list, map or tuple is required, but this is {types.friendly(collection.type)}")
    if key.type != types.NUMBER or not key.data.is_whole or key.data.sign < 0:
        return None
    number = key.data.truncated() if key.data.exponent < 64 else len(collection.data)
    found = collection.data[number] if number < len(collection.data) else None
    return found


@TABLE.define("indexof list:any value:any")
def _indexof(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    _sequence(given[0], sets=False)
    if not given[0].data:
        raise FunctionError("the list is empty")
    for index, one in enumerate(given[0].data):
        if values.equal(one, given[1]):
            return values.integer(index)
    raise FunctionError("the list has no such element")


@TABLE.define("length collection:any")
def _length(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    if isinstance(given[0].type, types.MapType):
        return values.integer(len(given[0].data))
    _sequence(given[0])
    return values.integer(len(given[0].data))


@TABLE.define("reverselist list:any")
def _reverselist(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    _sequence(given[0])
    found = list(reversed(given[0].data))
    kind = given[0].type
    return values.list_of(kind.element, found) if isinstance(kind, ListType | SetType) else values.tuple_of(found)


@TABLE.define("slice list:any start_index:number end_index:number")
def _slice(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    _sequence(given[0], sets=False)
    start, end = whole(given[1], "start_index"), whole(given[2], "end_index")
    if not 0 <= start <= end <= len(given[0].data):
        raise FunctionError(f"the indexes {start} and {end} are not in order from 0 to {len(given[0].data)}")
    found = given[0].data[start:end]
    kind = given[0].type
    return values.list_of(kind.element, found) if isinstance(kind, ListType) else values.tuple_of(found)


@TABLE.define("sort list:strings")
def _sort(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    if any(one.is_null for one in given[0].data):
        raise FunctionError("an element of the list is null")
    return values.list_of(
        types.STRING, sorted(given[0].data, key=lambda one: one.data.encode("utf-8", "surrogatepass"))
    )


@TABLE.define("coalesce *vals:any?")
def _coalesce(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    common = convert.unify([one.type for one in given], unsafe=True)
    if common is None:
        raise FunctionError("all arguments must have the same type")
    for one in given:
        if not one.is_null:
            return convert.convert(one, common)
    raise FunctionError("all arguments are null")
