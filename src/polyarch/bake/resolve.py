"""From a `Definition` to the targets that a user asks for: groups, inheritance, `--set`, and links between targets.

The rules are those of buildx (bake.go, ReadTargets), except that targets which inherit in a circle are an error.
"""

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from polyarch.bake import globs, merge, overrides
from polyarch.bake.attributes import replaced
from polyarch.bake.entries import OutputEntry
from polyarch.bake.hcl.source import HclError, Span
from polyarch.bake.overrides import Overrides
from polyarch.bake.target import BakeTarget, Definition, TargetGroup
from polyarch.builder.contexts.location import is_remote
from polyarch.errors import NotFoundError, PolyarchError, UsageError

_SPECIAL = ("cwd://", "target:", "docker-image:", "oci-layout://")
_MOST_PARENTS = 200

# Where attributes are that name other targets: by type ("target" or "group"), name and attribute.
BakePlaces: TypeAlias = Mapping[tuple[str, str, str], Span]


class Resolved(msgspec.Struct, frozen=True):
    """What is to be built. `default` in `groups` has the names that the user asked for."""

    targets: Mapping[str, BakeTarget]
    groups: Mapping[str, TargetGroup]


def resolve(
    definition: Definition, asked: Iterable[str], given: Overrides, places: BakePlaces | None = None
) -> Resolved:
    """The targets that the user asks for by names and patterns, and those that they link to.

    Raises NotFoundError for a name that does not exist, UsageError for circles; HclError if `places` has the place.
    """
    return _Resolver(definition, given, places or {}).resolve(asked)


def only(resolved: Resolved, names: Iterable[str]) -> Resolved:
    """These targets, and those that they link to."""
    found: dict[str, BakeTarget] = {}
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found[name] = resolved.targets[name]
            left += found[name].links().values()
    return Resolved({name: target for name, target in resolved.targets.items() if name in found}, resolved.groups)


def is_local(path: str) -> bool:
    """Whether a context is a path on this machine."""
    if path.startswith(_SPECIAL[1:]):
        return False
    try:
        return not is_remote(path.removeprefix("cwd://"), "context")
    except UsageError:
        return False


def based_on_files(definition: Definition) -> Definition:
    """The definition with relative contexts that are relative to the files which set them."""
    known = {target.name: target for target in definition.targets}
    return Definition(tuple(_based(target, known) for target in definition.targets), definition.groups)


def _based(target: BakeTarget, known: Mapping[str, BakeTarget]) -> BakeTarget:
    source, base = target.input, target.input.base
    directory = base.context
    repeated = known.get(base.repeats)
    if repeated is not None:
        directory = repeated.input.base.default if repeated.input.context is None else repeated.input.base.context
    context = source.context
    if context is not None and directory is not None:
        context = _joined(directory, context)
    named = source.contexts
    if named is not None:
        named = {name: _joined(base.contexts.get(name, ""), path) for name, path in named.items()}
    return msgspec.structs.replace(target, input=msgspec.structs.replace(source, context=context, contexts=named))


def _joined(directory: str, path: str) -> str:
    if not directory or not path or path.startswith(_SPECIAL) or not is_local(path) or path.startswith("/"):
        return path
    return posixpath.normpath(posixpath.join(directory, path))


class _Resolver:
    def __init__(self, definition: Definition, given: Overrides, places: BakePlaces) -> None:
        self._places = places
        self._targets = {target.name: target for target in definition.targets}
        self._groups = {group.name: group for group in reversed(definition.groups)}
        self._order = [*self._groups, *self._targets]
        self._overrides = given
        self._inherited: dict[str, BakeTarget] = {}

    def resolve(self, asked: Iterable[str]) -> Resolved:
        names = list(dict.fromkeys(name for word in asked for name in self._matching(word.replace(".", "_"))))
        targets: dict[str, BakeTarget] = {}
        groups: dict[str, TargetGroup] = {}
        for name in names:
            found, seen = self._members(name, ())
            for one in found:
                targets[one] = self._complete(one)
            groups |= {one: self._groups[one] for one in seen}
        for name in names:
            if name == "default" and "default" in groups:
                continue
            known = groups.get("default", TargetGroup(name="default"))
            groups["default"] = msgspec.structs.replace(known, targets=(*known.targets, name))
        if "default" in groups:
            known = groups["default"]
            ordered = tuple(sorted(dict.fromkeys(known.targets)))
            groups["default"] = msgspec.structs.replace(known, targets=ordered)
        for name in sorted(targets):
            self._link(name, targets, ())
        return Resolved(targets, groups)

    def _matching(self, word: str) -> list[str]:
        if not globs.has_pattern(word):
            return [word]
        groups = [name for name in reversed(self._groups) if globs.matches(word, name)]
        found = groups + [name for name in self._targets if globs.matches(word, name)]
        if not found:
            raise self._unknown(word)
        return found

    def _unknown(self, name: str, where: str = "") -> NotFoundError:
        return NotFoundError(f"{where}there is no target {name!r}", overrides.known(name, self._order))

    def _at(self, error: PolyarchError, *place: str) -> PolyarchError:
        """The error with the place of an attribute (type, name, attribute), unless --set may have set that."""
        at = None if self._overrides.get(place[1]) else self._places.get((place[0], place[1], place[2]))
        return error if at is None else HclError(error.message, error.hint, at=at)

    def _members(self, name: str, path: Sequence[str]) -> tuple[list[str], list[str]]:
        """The targets and the groups that a name stands for. Raises UsageError for groups that contain themselves."""
        group = self._groups.get(name)
        if group is None:
            return [name], []
        if name in path:
            # What --print writes for a target called default is a group of that name, which contains the target.
            if name in self._targets:
                return [name], []
            error = UsageError(f"the group {name} contains itself: {' → '.join((*path, name))}")
            raise self._at(error, "group", path[-1], "targets")
        targets: dict[str, None] = {}
        groups: dict[str, None] = {name: None}
        for member in group.targets:
            if member not in self._groups and member not in self._targets:
                raise self._at(self._unknown(member, f"in the group {name}: "), "group", name, "targets")
            inner, seen = self._members(member, (*path, name))
            targets |= dict.fromkeys(inner)
            groups |= dict.fromkeys(seen)
        return list(targets), list(groups)

    def _complete(self, name: str) -> BakeTarget:
        """The target with what it inherits, its overrides and the defaults."""
        target = self._target(name, ())
        source = target.input
        context = source.context
        if context is None:
            context = "." if source.base.default is None else _joined(source.base.default, ".")
        return replaced(target, inherits=(), context=context, dockerfile=source.dockerfile or "Dockerfile")

    def _target(self, name: str, path: Sequence[str]) -> BakeTarget:
        if name in self._inherited:
            return self._inherited[name]
        target = self._targets.get(name)
        if target is None:
            if not path:
                raise self._unknown(name)
            missing = self._unknown(name, f"the target {path[-1]} inherits from what does not exist: ")
            raise self._at(missing, "target", path[-1], "inherits")
        if name in path:
            error = UsageError(f"the target {name} inherits from itself: {' → '.join((*path, name))}")
            raise self._at(error, "target", path[-1], "inherits")
        if len(path) > _MOST_PARENTS:
            raise UsageError(f"targets inherit from each other more than {_MOST_PARENTS} deep: {path[0]} → … → {name}")
        found = BakeTarget(name=name)
        for parent in target.inherits:
            found = merge.merged(found, self._target(parent, (*path, name)))
        found = merge.merged(found, target)
        found = merge.normalized(overrides.applied(found, self._overrides.get(name, ())))
        self._inherited[name] = found
        return found

    def _link(self, name: str, targets: dict[str, BakeTarget], path: Sequence[str]) -> None:
        """Add the targets that are contexts of this one. It needs the entitlements that they need."""
        path = (*path, name)
        for context, other in sorted(targets[name].links().items()):
            if other in path:
                circle = UsageError(f"the target {other} needs itself as a context: {' → '.join((*path, other))}")
                raise self._at(circle, "target", name, "contexts")
            if other not in targets:
                if other not in self._targets:
                    missing = self._unknown(other, f"the context {context} of the target {name}: ")
                    raise self._at(missing, "target", name, "contexts")
                linked = replaced(self._complete(other), output=(OutputEntry("cacheonly"),))
                targets[other] = msgspec.structs.replace(linked, linked=True)
            self._link(other, targets, path)
            self._check_platforms(name, targets[name], targets[other])
            known = targets[name].run.entitlements or ()
            more = tuple(one for one in targets[other].run.entitlements or () if one not in known)
            if more:
                targets[name] = replaced(targets[name], entitlements=(*known, *more))

    def _check_platforms(self, name: str, user: BakeTarget, used: BakeTarget) -> None:
        wanted, built = user.platforms or (), used.platforms or ()
        if len(wanted) > 1 and len(built) > 1 and not set(wanted) <= set(built):
            missing = ", ".join(one for one in wanted if one not in built)
            raise UsageError(
                f"the target {used.name} is a context of {name}, but is not built for {missing}",
                f"it is built for {', '.join(built)}",
            )
