"""Sets."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from polyarch.bake.hcl import convert, types, values
from polyarch.bake.hcl.functions import FunctionError, FunctionHost, FunctionTable
from polyarch.bake.hcl.types import HclType, ListType, SetType, TupleType
from polyarch.bake.hcl.values import HclValue

TABLE = FunctionTable()
_Elements: TypeAlias = dict[object, HclValue]


def _operation(signature: str, combine: Callable[[_Elements, _Elements], _Elements]) -> None:
    @TABLE.define(signature)
    def call(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
        element = _common(given)
        sets = [convert.convert(one, SetType(element)) for one in given]
        found = _elements(sets[0])
        for one in sets[1:]:
            found = combine(found, _elements(one))
        return values.set_of(element, found.values())


def _common(given: Sequence[HclValue]) -> HclType:
    kinds = [one.type.element for one in given if isinstance(one.type, SetType)]
    filled = [kind for kind, one in zip(kinds, given, strict=True) if one.data or not types.is_dynamic(kind)]
    if not filled:
        return types.DYNAMIC
    found = convert.unify(filled, unsafe=True)
    if found is None:
        raise FunctionError("the elements of the sets have no common type")
    return found


def _elements(value: HclValue) -> _Elements:
    return {values.identity(one): one for one in value.data}


def _intersection(one: _Elements, other: _Elements) -> _Elements:
    return {key: value for key, value in one.items() if key in other}


def _difference(one: _Elements, other: _Elements) -> _Elements:
    return {key: value for key, value in one.items() if key not in other}


_operation("setunion first_set:set *other_sets:set", lambda one, other: {**one, **other})
_operation("setintersection first_set:set *other_sets:set", _intersection)
_operation("setsubtract a:set b:set", _difference)
_operation(
    "setsymmetricdifference first_set:set *other_sets:set",
    lambda one, other: {**_difference(one, other), **_difference(other, one)},
)


@TABLE.define("sethaselement set:set elem:any")
def _sethaselement(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    return values.boolean(any(values.equal(one, given[1]) for one in given[0].data))


@TABLE.define("setproduct *sets:any")
def _setproduct(given: Sequence[HclValue], _: FunctionHost) -> HclValue:
    if len(given) < 2:
        raise FunctionError("it takes at least two sets or lists")
    kinds = [_element(one) for one in given]
    if math.prod(len(one.data) for one in given) * (len(given) + 1) > values.MAX_ELEMENTS:
        raise FunctionError(f"the product has more than {values.MAX_ELEMENTS} elements")
    axes = [[convert.convert(one, kind) for one in axis.data] for axis, kind in zip(given, kinds, strict=True)]
    found = [values.tuple_of(one) for one in itertools.product(*axes)]
    # Elements of the types that the elements of each set have in common.
    product = TupleType(tuple(kinds))
    if any(isinstance(one.type, SetType) for one in given):
        return values.set_of(product, found)
    return values.list_of(product, found)


def _element(value: HclValue) -> HclType:
    kind = value.type
    if isinstance(kind, SetType | ListType):
        return kind.element
    if not isinstance(kind, TupleType):
        raise FunctionError(f"a set or a list is required, but this is {types.friendly(kind)}")
    if not kind.elements:
        return types.DYNAMIC
    found = convert.unify(kind.elements, unsafe=True)
    if found is None:
        raise FunctionError("all elements must be of the same type")
    return found
