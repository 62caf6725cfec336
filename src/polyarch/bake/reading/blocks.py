"""Blocks of targets and groups: matrices, names, and attributes that are evaluated when something needs them."""

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from polyarch.bake.attributes import ATTRIBUTES, Attribute, replaced
from polyarch.bake.hcl import syntax, types, values
from polyarch.bake.hcl.bodies import HclAttribute, HclBlock
from polyarch.bake.hcl.convert import ConversionError, convert
from polyarch.bake.hcl.evaluate import EvalScope, LimitExceededError, near
from polyarch.bake.hcl.source import HclError, Span
from polyarch.bake.hcl.syntax import VariableUse
from polyarch.bake.reading import decode
from polyarch.bake.reading.names import BakeNames
from polyarch.bake.target import BakeTarget, ContextBase, TargetGroup

BLOCK_TYPES = ("group", "target")
_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_MAX_TARGETS = 10_000
_GROUP = (Attribute("description", "description", "text"), Attribute("targets", "inherits", "texts"))
_SPECIAL = ("matrix", "name")
# The attributes that name other targets.
_NAMING = ("targets", "inherits", "contexts")


class Instance:
    """One target or group of a block: a block with a matrix has one for each combination."""

    def __init__(self, block: "EvaluatedBlock", name: str, scope: EvalScope) -> None:
        self.name = name
        self.scope = scope
        self.values: dict[str, Any] = {}
        self._block = block
        self._done: set[str] = set()
        self._in_progress: set[str] = set()

    def evaluate(self, names: BakeNames, only: str | None) -> None:
        """Evaluate one attribute, or all that have not been evaluated. Raises HclError."""
        if only is not None:
            if only in self._done:
                return
            if only in self._in_progress:
                at = self._block.attributes[only].at
                raise HclError(f"{self._block.kind}.{self.name}.{only} needs itself", at=at)
            self._in_progress.add(only)
        wanted = [only] if only is not None else [name for name in self._block.attributes if name not in self._done]
        present = [name for name in wanted if name in self._block.attributes]
        for name in present:
            names.load(self._block.attributes[name].value, self.scope)
        for name in present:
            if only is None and name in self._done:
                continue
            attribute = self._block.attributes[name]
            value = names.evaluator.evaluate(attribute.value, self.scope)
            self.values[name] = decode.decoded(self._block.table[name], value, attribute.value.span)
        self._done.update(wanted)

    def value(self) -> values.HclValue:
        """The target or group as an object, as far as it has been evaluated."""
        if self._block.kind == "group":
            targets = self.values.get("targets") or ()
            return decode.group_value(self.name, self.values.get("description") or "", targets)
        return decode.target_value(self.target())

    def target(self) -> BakeTarget:
        """The target. Attributes that have not been evaluated are None."""
        given = {name.replace("-", "_"): value for name, value in self.values.items() if value is not None}
        return replaced(BakeTarget(name=self.name), **given)


class EvaluatedBlock:
    """A block of type target or group."""

    def __init__(self, block: HclBlock) -> None:
        self.kind: Literal["target", "group"] = "target" if block.type == "target" else "group"
        self.label = block.labels[0]
        self.block = block
        self.table = {one.name: one for one in (ATTRIBUTES if self.kind == "target" else _GROUP)}
        self._all = block.body.attributes()
        self.attributes = {name: one for name, one in self._all.items() if name in self.table}
        self.instances: list[Instance] = []

    def warnings(self) -> Iterable[tuple[str, str | None]]:
        """What is ignored: attributes and blocks that the type does not have. A message and a hint for each."""
        known = [*self.table, *(_SPECIAL if self.kind == "target" else ())]
        for name, attribute in self._all.items():
            if name not in known:
                yield f"{attribute.at}: a {self.kind} has no attribute {name!r}: it is ignored", near(name, known)
        for name, at in self.block.body.block_types():
            yield f"{at}: a {self.kind} has no block {name!r}: it is ignored", near(name, known)

    def expand(self, names: BakeNames) -> None:
        """Make the instances. Raises HclError."""
        _check_name(self.label, self.block)
        given = self._all.get("name")
        if self.kind == "group":
            for name in _SPECIAL:
                if name in self._all:
                    raise HclError(f"a group has no {name}", at=self._all[name].at)
            if "targets" not in self._all:
                raise HclError("a group needs targets", 'as in targets = ["app", "db"]', at=self.block.at)
        elif given is not None and "matrix" not in self._all:
            raise HclError(
                "name is only for targets with a matrix", f"the name of this target is {self.label}", at=given.at
            )
        seen: set[str] = set()
        for scope in self._scopes(names):
            name = self.label if given is None or self.kind == "group" else self._name(given, scope, names)
            if name in seen:
                hint = "name = … must give each combination of the matrix a name of its own"
                raise HclError(f"two combinations of the matrix are called {name!r}", hint, at=self.block.at)
            seen.add(name)
            self.instances.append(Instance(self, name, scope))

    def _name(self, attribute: HclAttribute, scope: EvalScope, names: BakeNames) -> str:
        try:
            found = convert(names.evaluate(attribute.value, scope), types.STRING)
        except ConversionError as error:
            raise HclError(f"name: {error}", at=attribute.value.span) from None
        if found.is_null:
            raise HclError("name is null", at=attribute.value.span)
        name: str = found.data
        _check_name(name, self.block, attribute)
        return name

    def _scopes(self, names: BakeNames) -> list[EvalScope]:
        attribute = self._all.get("matrix")
        if attribute is None:
            return [names.root]
        found = names.evaluate(attribute.value, names.root)
        if found.is_null or not found.is_mapping:
            raise HclError(
                "matrix is a map of lists", 'as in matrix = { version = ["1", "2"] }', at=attribute.value.span
            )
        axes: list[list[tuple[str, values.HclValue]]] = []
        count = 1
        for axis, given in found.items():
            if given.is_null or not (given.is_sequence or given.is_mapping):
                raise HclError(f"{axis.data} in matrix is not a list", at=attribute.value.span)
            axes.append([(axis.data, one) for one in given.elements()])
            count *= len(axes[-1])
            if count > _MAX_TARGETS:
                raise LimitExceededError(f"the matrix makes more than {_MAX_TARGETS} targets", at=attribute.value.span)
        if not axes:
            return [names.root]
        # As in buildx the first axis changes fastest. Its order of the axes is random; here they are sorted.
        return [EvalScope(dict(reversed(one)), names.root) for one in itertools.product(*reversed(axes))]

    def evaluate(self, names: BakeNames, only: str | None = None) -> None:
        """Evaluate an attribute, or all, of every instance. Raises HclError."""
        for instance in self.instances:
            instance.evaluate(names, only)

    def targets(self, directory: str | None) -> list[BakeTarget]:
        """The targets of the block. `directory` is the one that relative contexts of the file are relative to."""
        return [_based(one.target(), self._all.get("context"), directory) for one in self.instances]

    def group(self) -> TargetGroup:
        """The group that the block is."""
        given = self.instances[0].values
        return TargetGroup(
            name=self.label, targets=tuple(given.get("targets") or ()), description=given.get("description") or ""
        )


def _check_name(name: str, block: HclBlock, attribute: HclAttribute | None = None) -> None:
    if not _NAME.fullmatch(name):
        at = block.at if attribute is None else attribute.value.span
        raise HclError(f"{name!r} is not a name", "names have letters, digits, - and _", at=at)


def _based(target: BakeTarget, context: HclAttribute | None, directory: str | None) -> BakeTarget:
    """The target with the directory of its file."""
    if directory is None:
        return target
    import msgspec

    named = target.input.contexts or {}
    base = ContextBase(
        default=directory,
        context=directory if target.input.context is not None else None,
        contexts=dict.fromkeys(named, directory),
        repeats=_repeated(context),
    )
    return msgspec.structs.replace(target, input=msgspec.structs.replace(target.input, base=base))


def _repeated(context: HclAttribute | None) -> str:
    """The target in `context = target.NAME.context`."""
    names = syntax.reference(context.value) if context is not None else None
    return names[1] if names and len(names) == 3 and names[0] == "target" and names[2] == "context" else ""


class EvaluatedBlocks:
    """All blocks of targets and groups, and the variables `target` and `group` in expressions."""

    def __init__(self) -> None:
        self.found: list[EvaluatedBlock] = []
        self._by_name: dict[tuple[str, str], list[EvaluatedBlock]] = {}
        self._changed: dict[str, dict[str, values.HclValue]] = {}

    def add(self, block: EvaluatedBlock) -> None:
        """Add a block whose instances are known."""
        self.found.append(block)
        for instance in block.instances:
            self._by_name.setdefault((block.kind, instance.name), []).append(block)

    def load(self, names: BakeNames, use: VariableUse) -> None:
        """Evaluate what an expression needs: `target.NAME.attribute`, or all of the target. Raises HclError."""
        kind = use.name
        if use.indexed or not use.attributes:
            hint = f"as in {kind}.NAME.{'args' if kind == 'target' else 'targets'}"
            raise HclError(f"{kind} is not a variable: the name of a {kind} follows it", hint, at=use.span)
        name, *attributes = use.attributes
        only = attributes[0] if attributes else None
        for block in self._by_name.get((kind, name), ()):
            block.evaluate(names, only)
            for instance in block.instances:
                self._changed.setdefault(kind, {})[instance.name] = instance.value()
        names.root.variables[kind] = values.object_of(self._changed.get(kind, {}))


def renamed(blocks: Sequence[EvaluatedBlock]) -> dict[str, list[str]]:
    """The groups that matrices make: {label: names}."""
    found: dict[str, list[str]] = {}
    for block in blocks:
        if block.kind == "target":
            found.setdefault(block.label, []).extend(instance.name for instance in block.instances)
    result = {label: list(dict.fromkeys(names)) for label, names in found.items()}
    return {label: names for label, names in result.items() if names and names != [label]}


def places_of(blocks: Sequence[EvaluatedBlock]) -> dict[tuple[str, str, str], Span]:
    """The places of the attributes that name other targets, in the last block that has them: by the type and name of
    what has the attribute, and the name of the attribute.
    """
    return {
        (block.kind, instance.name, name): block.attributes[name].value.span
        for block in blocks
        for name in _NAMING
        if name in block.attributes
        for instance in block.instances
    }
