"""The common type of several types (cty's convert.Unify)."""

from collections.abc import Callable, Sequence
from typing import Protocol

from polyarch.bake.hcl import types
from polyarch.bake.hcl.types import DYNAMIC, STRING, HclType, ListType, MapType, ObjectType, SetType, TupleType


class _Convertible(Protocol):
    def __call__(self, source: HclType, target: HclType, *, unsafe: bool) -> bool: ...


def unify(given: Sequence[HclType], unsafe: bool, convertible: _Convertible) -> HclType | None:
    """The type to which all of these can be converted; None if there is none, and for no types."""
    if not given:
        return None
    if all(one == given[0] for one in given):
        return given[0]
    return _Unification(unsafe, convertible).unified(list(given))


class _Unification:
    def __init__(self, unsafe: bool, convertible: _Convertible) -> None:
        self._unsafe = unsafe
        self._convertible = convertible

    def unified(self, given: list[HclType]) -> HclType | None:
        if not given:
            return None
        kinds = {type(one) for one in given if not types.is_dynamic(one)}
        dynamic = any(map(types.is_dynamic, given))
        if kinds in ({MapType}, {ListType}, {SetType}):
            return DYNAMIC if dynamic else self._collections(given)
        if kinds == {ObjectType}:
            return DYNAMIC if dynamic else self._objects(given)
        if kinds == {TupleType}:
            return DYNAMIC if dynamic else self._tuples(given)
        if kinds == {MapType, ObjectType}:
            found = self._with(given, ObjectType, self._as_map)
            if isinstance(found, MapType):
                return found
        elif kinds == {ListType, TupleType}:
            found = self._with(given, TupleType, self._as_list)
            if isinstance(found, ListType):
                return found
        elif {ObjectType, TupleType} <= kinds:
            return None
        return self._preferred(given)

    def _collections(self, given: list[HclType]) -> HclType | None:
        element = self.unified([one.element for one in given if isinstance(one, MapType | ListType | SetType)])
        kinds: dict[type, Callable[[HclType], HclType]] = {MapType: MapType, ListType: ListType, SetType: SetType}
        return None if element is None else kinds[type(given[0])](element)

    def _objects(self, given: list[HclType]) -> HclType | None:
        objects = [one.types() for one in given if isinstance(one, ObjectType)]
        if any(one.keys() != objects[0].keys() for one in objects):
            return self._as_map(given)
        found: dict[str, HclType] = {}
        for name in objects[0]:
            one = self.unified([types_of[name] for types_of in objects])
            if one is None:
                return None
            found[name] = one
        return self._all(given, types.object_type(found)) or self._as_map(given)

    def _tuples(self, given: list[HclType]) -> HclType | None:
        tuples = [one.elements for one in given if isinstance(one, TupleType)]
        if any(len(one) != len(tuples[0]) for one in tuples):
            return self._as_list(given)
        found = [self.unified(list(across)) for across in zip(*tuples, strict=True)]
        if any(one is None for one in found):
            return None
        wanted = TupleType(tuple(one for one in found if one is not None))
        return self._all(given, wanted) or self._as_list(given)

    def _as_map(self, given: list[HclType]) -> HclType | None:
        inner = [one for each in given if isinstance(each, ObjectType) for _, one in each.attributes]
        element = self.unified(inner)
        return None if element is None else self._all(given, MapType(element))

    def _as_list(self, given: list[HclType]) -> HclType | None:
        inner = [one for each in given if isinstance(each, TupleType) for one in each.elements]
        element = self.unified(inner)
        return None if element is None else self._all(given, ListType(element))

    def _with(
        self, given: list[HclType], kind: type, collect: Callable[[list[HclType]], HclType | None]
    ) -> HclType | None:
        """The common type, with the objects taken as one map, or the tuples as one list."""
        collected = collect([one for one in given if isinstance(one, kind)])
        if collected is None:
            return None
        return self.unified([collected if isinstance(one, kind) else one for one in given])

    def _all(self, given: list[HclType], wanted: HclType) -> HclType | None:
        fits = all(self._convertible(one, wanted, unsafe=self._unsafe) for one in given)
        return wanted if fits else None

    def _preferred(self, given: list[HclType]) -> HclType | None:
        """The most general of the types, if all others can be converted to it."""
        for wanted in _by_preference(given):
            if self._all(given, wanted) is not None:
                return wanted
        return None


def _by_preference(given: list[HclType]) -> list[HclType]:
    """The types, more general ones first; otherwise in their order."""
    different = list(dict.fromkeys(given))
    above = {one: sum(_compare(other, one) < 0 for other in different) for one in different}
    return sorted(different, key=lambda one: above[one])


def _compare(one: HclType, other: HclType) -> int:
    """Negative if values of the second type can be expected to convert to the first one; 0 if that is not known."""
    if types.is_dynamic(one) or types.is_dynamic(other):
        return types.is_dynamic(one) - types.is_dynamic(other)
    if types.is_primitive(one) and types.is_primitive(other):
        return (other == STRING) - (one == STRING)
    rank = {SetType: 0, ListType: 1, TupleType: 2, MapType: 0, ObjectType: 1}
    if isinstance(one, ListType | SetType | MapType) and isinstance(other, type(one)):
        return _compare(one.element, other.element)
    sequences = (SetType, ListType, TupleType)
    same = isinstance(one, sequences) == isinstance(other, sequences)
    if same and type(one) in rank and type(other) in rank:
        # cty prefers lists to sets, and both to tuples; maps to objects.
        if isinstance(one, SetType) != isinstance(other, SetType):
            return 1 if isinstance(one, SetType) else -1
        return rank[type(one)] - rank[type(other)]
    return 0
