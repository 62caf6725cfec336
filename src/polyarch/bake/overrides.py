"""`--set PATTERN.KEY[.NAME][+]=VALUE`: what the command line says over the files.

The rules are those of buildx (bake.go, newOverrides and AddOverrides), except that the values of `network`,
`no-cache-filter` and `ulimits` arrive, and that the result does not depend on a random order: `push` and `load` see the
outputs that `--set PATTERN.output` has chosen.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from polyarch.bake import entries, globs
from polyarch.bake.attributes import BY_NAME, replaced
from polyarch.bake.entries import OutputEntry
from polyarch.bake.target import BakeTarget
from polyarch.errors import NotFoundError, UsageError

_LISTS = {
    "annotations": "annotations",
    "attest": "attest",
    "cache-from": "cache-from",
    "cache-to": "cache-to",
    "entitlements": "entitlements",
    "no-cache-filter": "no-cache-filter",
    "output": "output",
    "platform": "platforms",
    "policy": "policy",
    "secrets": "secret",
    "ssh": "ssh",
    "tags": "tags",
    "ulimits": "ulimits",
}
_ALWAYS_APPENDED = frozenset({"annotations", "attest", "entitlements"})
_NAMED = frozenset({"args", "contexts", "extra-hosts", "labels", "resources", "secret"})
_TEXTS = frozenset({"call", "context", "dockerfile", "network", "shm-size", "target"})
_FLAGS = frozenset({"load", "no-cache", "pull", "push"})
_KEYS = sorted({*_LISTS, *_NAMED, *_TEXTS, *_FLAGS})
_NUMBERS = frozenset({"cpu-shares", "cpu-period", "cpu-quota"})
_RESOURCES = frozenset({"memory", "memory-swap", "cpuset-cpus", "cpuset-mems", *_NUMBERS})
_HINT = "as in --set app.platform=linux/arm64 or --set '*.args.VERSION=1'"


class TargetOverride(msgspec.Struct, frozen=True, kw_only=True):
    """One value, or all values of a list, for one key of one target. `append` keeps the list of the file."""

    key: str
    name: str = ""
    values: tuple[str, ...] = ()
    append: bool = False

    @property
    def value(self) -> str:
        """The last value."""
        return self.values[-1]


Overrides = Mapping[str, Sequence[TargetOverride]]


def parse(words: Iterable[str], names: Sequence[str], variables: Mapping[str, str]) -> Overrides:
    """The overrides by target, of those in `names`. `variables` are looked up for `args.NAME` without a value.

    Raises UsageError, NotFoundError if a pattern matches no target.
    """
    found: dict[str, dict[tuple[str, str], TargetOverride]] = {}
    for word in words:
        path, equals, value = word.partition("=")
        plain = path.removesuffix("+")
        pattern, key, name = (*plain.split(".", 2), "", "")[:3]
        if not key:
            raise UsageError(f"--set {word}: {plain!r} is not PATTERN.KEY", _HINT)
        _check(word, path, key, name, bool(equals))
        if not equals:
            if name not in variables:
                continue
            value = variables[name]
        for target in matching(pattern, names, f"--set {word}"):
            known = found.setdefault(target, {})
            earlier = known.get((key, name))
            values = (*earlier.values, value) if earlier is not None and key in _LISTS else (value,)
            known[key, name] = TargetOverride(key=key, name=name, values=values, append=path.endswith("+"))
    return {target: _ordered(given.values()) for target, given in found.items()}


def _check(word: str, path: str, key: str, name: str, has_value: bool) -> None:
    if key not in _KEYS:
        from difflib import get_close_matches

        near = get_close_matches(key, _KEYS, n=1)
        raise UsageError(f"--set {word}: unknown key {key!r}", f"did you mean {near[0]}?" if near else _HINT)
    if key in _NAMED and not name:
        raise UsageError(f"--set {word}: {key} needs a name", f"as in --set 'app.{key}.NAME=VALUE'")
    if not has_value and key != "args":
        raise UsageError(f"--set {word} has no value", _HINT)
    if path.endswith("+") and key in ("resources", "secret"):
        raise UsageError(f"--set {word}: {key} has one value, so nothing can be added to it", _HINT)


def matching(pattern: str, names: Sequence[str], where: str) -> list[str]:
    """The names that a pattern matches: itself, or as a glob. Raises NotFoundError if there are none."""
    if pattern in names:
        return [pattern]
    found = [name for name in names if globs.matches(pattern, name)]
    if not found:
        raise NotFoundError(f"{where}: no target is called {pattern!r}", known(pattern, names))
    return found


def known(name: str, names: Sequence[str]) -> str:
    """A hint for a name that does not exist: similar ones, or all."""
    from difflib import get_close_matches

    near = get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"there are {', '.join(sorted(names))}" if names else "no target is defined"


def _ordered(given: Iterable[TargetOverride]) -> list[TargetOverride]:
    """Lists before single values of the same thing: outputs before push and load, secrets before a single secret."""
    return sorted(given, key=lambda one: one.key in ("load", "push", "secret"))


def applied(target: BakeTarget, given: Sequence[TargetOverride]) -> BakeTarget:
    """The target with these overrides. Raises UsageError."""
    for one in given:
        target = _applied(target, one)
    return target


def _applied(target: BakeTarget, one: TargetOverride) -> BakeTarget:
    key, value = one.key, one.value
    if key in _LISTS:
        return _list(target, one)
    if key in ("push", "load"):
        outputs = target.result.outputs or ()
        change = _push if key == "push" else _load
        return replaced(target, output=change(outputs, _flag(key, value)))
    if key in _FLAGS:
        return replaced(target, **{key.replace("-", "_"): _flag(key, value)})
    if key == "secret":
        return _secret(target, one.name, value)
    if key == "resources":
        return replaced(target, resources={**(target.run.resources or {}), one.name: _resource(one.name, value)})
    if key in _NAMED:
        known_values = BY_NAME[key].of(target) or {}
        return replaced(target, **{key.replace("-", "_"): {**known_values, one.name: value}})
    return replaced(target, **{key.replace("-", "_"): value})


_READERS: Mapping[str, Callable[[str], Sequence[Any]]] = {
    "attest": lambda word: [entries.attest(word)],
    "cache-from": entries.caches,
    "cache-to": entries.caches,
    "output": lambda word: [entries.output(word)],
    "policy": lambda word: [entries.policy(word)],
    "secrets": lambda word: [entries.secret(word)],
    "ssh": lambda word: [entries.ssh(word)],
}


def _list(target: BakeTarget, one: TargetOverride) -> BakeTarget:
    """A list with the given values, and before them those of the file."""
    attribute = BY_NAME[_LISTS[one.key]]
    reader = _READERS.get(one.key)
    given: tuple[Any, ...] = one.values
    if reader is not None:
        try:
            given = tuple(entry for word in one.values if word for entry in reader(word))
        except entries.EntryError as error:
            raise UsageError(f"--set {target.name}.{one.key}: {error.message}", error.hint) from None
    if one.append or one.key in _ALWAYS_APPENDED:
        given = (*(attribute.of(target) or ()), *given)
    return replaced(target, **{attribute.name.replace("-", "_"): given})


def _secret(target: BakeTarget, name: str, value: str) -> BakeTarget:
    """The target with another source for a secret that it declares."""
    declared = target.input.secrets or ()
    if all(secret.id != name for secret in declared):
        raise UsageError(
            f"--set {target.name}.secret.{name}: the target declares no secret {name!r}",
            known(name, [secret.id for secret in declared]),
        )
    try:
        given = entries.secret(value)
    except entries.EntryError as error:
        raise UsageError(f"--set {target.name}.secret.{name}: {error.message}", error.hint) from None
    if given.id not in ("", name):
        raise UsageError(f"--set {target.name}.secret.{name}: the value is for another secret, {given.id!r}")
    changed = msgspec.structs.replace(given, id=name)
    return replaced(target, secret=tuple(changed if secret.id == name else secret for secret in declared))


def _resource(name: str, value: str) -> str | int:
    if name not in _RESOURCES:
        raise UsageError(f"--set: unknown resource {name!r}", known(name, sorted(_RESOURCES)))
    if name not in _NUMBERS:
        return value
    if not value.removeprefix("-").isdecimal() or len(value) > 19:
        raise UsageError(f"--set: the resource {name} is a number, not {value!r}")
    return int(value)


def _flag(key: str, text: str) -> bool:
    value = entries.boolean(text)
    if value is None:
        raise UsageError(f"--set: {key}={text} is neither true nor false", "expected true or false")
    return value


def _push(outputs: Sequence[OutputEntry], push: bool) -> tuple[OutputEntry, ...]:
    """The outputs with the images pushed, or not."""
    if not push:
        return _unpushed(outputs)
    found = [_attribute(one, push="true") if one.type == "image" else one for one in outputs]
    if all(one.type == "docker" for one in found):
        found.append(OutputEntry("image", "", {"push": "true"}, pushed=True))
    return tuple(found)


def _unpushed(outputs: Sequence[OutputEntry]) -> tuple[OutputEntry, ...]:
    found = list(outputs)
    position = 0
    while position < len(found):
        if found[position].type == "registry":
            # As in buildx, the last output takes the place of one that is removed.
            found[position] = found[-1]
            found.pop()
            continue
        if found[position].type == "image":
            kept = msgspec.structs.replace(found[position], pushed=False)
            found[position] = _attribute(kept, push="false")
        position += 1
    return tuple(found)


def _load(outputs: Sequence[OutputEntry], load: bool) -> tuple[OutputEntry, ...]:
    """The outputs, and one to the local engine unless they do not write an image anyway."""
    for one in outputs:
        if one.type not in ("docker", "image", "registry", "oci") or (one.type == "docker" and not one.destination):
            return tuple(outputs)
    return (*outputs, OutputEntry("docker")) if load else tuple(outputs)


def _attribute(output: OutputEntry, **values: str) -> OutputEntry:
    return msgspec.structs.replace(output, attributes={**output.attributes, **values})
