"""How targets are combined: files that say more about a target, targets that inherit, and the normal form of a result.

The rules are those of buildx (bake.go, Target.Merge and Target.normalize).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from polyarch.bake import entries
from polyarch.bake.attributes import ATTRIBUTES, Merge, replaced
from polyarch.bake.target import BakeTarget, ContextBase, Definition, TargetGroup, TargetInput


def merged(lower: BakeTarget, upper: BakeTarget) -> BakeTarget:
    """`lower` with what `upper` says on top; the name is that of `lower`."""
    values: dict[str, object] = {}
    for attribute in ATTRIBUTES:
        above = attribute.of(upper)
        # A target without a description has an empty one.
        if above is not None and not (attribute.name == "description" and above == ""):
            values[attribute.name.replace("-", "_")] = _merged(attribute.merge, attribute.of(lower), above)
    target = replaced(lower, **values)
    base = _merged_base(lower.input.base, upper.input)
    return msgspec.structs.replace(target, input=msgspec.structs.replace(target.input, base=base))


def _merged(rule: Merge, below: Any, above: Any) -> Any:
    """One value on top of another. An absent value below is None."""
    match rule:
        case "replace":
            return above
        case "keys":
            # A null never replaces anything, and is not added either.
            found = {**(below or {}), **{key: value for key, value in above.items() if value is not None}}
            return found or below
        case "append":
            return (*(below or ()), *above)
        case "equal":
            return entries.without_equal((*(below or ()), *above))
        case "type":
            return entries.last_of_each((*(below or ()), *above), lambda entry: entry.type)
        case "id":
            return entries.last_of_each((*(below or ()), *above), lambda entry: entry.id)


def _merged_base(below: ContextBase, upper: TargetInput) -> ContextBase:
    above = upper.base
    contexts = {name: base for name, base in below.contexts.items() if name not in (upper.contexts or {})}
    return ContextBase(
        default=below.default if above.default is None else above.default,
        context=below.context if upper.context is None else above.context,
        contexts={**contexts, **above.contexts},
        repeats=below.repeats if upper.context is None else above.repeats,
    )


def normalized(target: BakeTarget) -> BakeTarget:
    """The target without duplicates and empty words, as it is printed and built."""
    run, cache, result, source = target.run, target.cache, target.result, target.input
    entitlements = run.entitlements
    if run.network == "host":
        entitlements = (*(entitlements or ()), "network.host")
    contexts = {name: value for name, value in (source.contexts or {}).items() if value}
    return replaced(
        target,
        annotations=unique(result.annotations),
        attest=_or_none(entries.last_of_each(result.attest or (), lambda entry: entry.type)),
        tags=unique(result.tags),
        secret=_or_none(entries.last_of_each(source.secrets or (), lambda entry: entry.id)),
        ssh=_or_none(entries.last_of_each(source.ssh or (), lambda entry: entry.id)),
        platforms=unique(target.platforms),
        cache_from=_or_none(entries.without_equal(cache.cache_from or ())),
        cache_to=_or_none(entries.without_equal(cache.cache_to or ())),
        output=_or_none(entries.without_equal(result.outputs or ())),
        no_cache_filter=unique(cache.no_cache_filter),
        ulimits=unique(run.ulimits),
        entitlements=unique(entitlements),
        contexts=contexts or None,
    )


def unique(words: Sequence[str] | None) -> tuple[str, ...] | None:
    """The words without empty and repeated ones."""
    return None if words is None else tuple(word for word in dict.fromkeys(words) if word)


def _or_none(found: tuple[Any, ...]) -> tuple[Any, ...] | None:
    return found or None


def combined(targets: Iterable[BakeTarget]) -> tuple[BakeTarget, ...]:
    """The targets, each name once: a later one of the same name is merged onto the first."""
    found: dict[str, BakeTarget] = {}
    for target in targets:
        known = found.get(target.name)
        found[target.name] = target if known is None else merged(known, target)
    return tuple(found.values())


def with_groups(groups: Iterable[TargetGroup], named: Mapping[str, Sequence[str]]) -> tuple[TargetGroup, ...]:
    """The groups, and one for each of `named`: {name: targets}."""
    return (*groups, *(TargetGroup(name=name, targets=tuple(targets)) for name, targets in named.items()))


def onto(lower: Definition, upper: Definition) -> Definition:
    """Files on top of others: groups of the same name are replaced, targets of the same name are merged."""
    replacing = {group.name for group in upper.groups}
    groups = (*(group for group in lower.groups if group.name not in replacing), *upper.groups)
    return Definition(combined((*lower.targets, *upper.targets)), groups)
