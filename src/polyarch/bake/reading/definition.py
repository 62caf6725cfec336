"""All files of a bake → one `Definition`, with the variables and what is worth a warning."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TypeAlias

import msgspec

from polyarch.bake import merge
from polyarch.bake.hcl import library
from polyarch.bake.hcl.bodies import HclAttribute, HclBody, parse_native
from polyarch.bake.hcl.evaluate import EvalScope, Evaluator, near
from polyarch.bake.hcl.functions import FunctionHost
from polyarch.bake.hcl.source import HclError, SourceFile
from polyarch.bake.hcl.syntax import VariableUse
from polyarch.bake.reading.blocks import BLOCK_TYPES, EvaluatedBlock, EvaluatedBlocks, places_of, renamed
from polyarch.bake.reading.names import BakeNames, function_block
from polyarch.bake.reading.variables import VARIABLE_ATTRIBUTES, BakeVariable, Outside, declared
from polyarch.bake.resolve import BakePlaces
from polyarch.bake.target import BakeTarget, Definition, TargetGroup
from polyarch.errors import UnsupportedError, UsageError

_OTHER_BLOCKS = ("variable", "function")
_KINDS = (*BLOCK_TYPES, *_OTHER_BLOCKS)


class BakeFile(msgspec.Struct, frozen=True):
    """One file. `directory` is what its relative contexts are relative to, None for the working directory."""

    name: str
    text: str
    directory: str | None = None


class ReadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What reading depends on besides the files: variables from outside, the time and the home directory."""

    given: Mapping[str, str] = {}
    environment: Mapping[str, str] = {}
    builtin: Mapping[str, str] = {}
    host: FunctionHost = FunctionHost()


# Reads compose files, which are one project. Another room has it, because it needs a library for YAML.
ComposeReader: TypeAlias = Callable[[Sequence[BakeFile]], Definition]


class ReadDefinition(msgspec.Struct, frozen=True):
    """What the files say. A warning is a message and a hint. `places` are those of attributes that name targets."""

    definition: Definition
    variables: tuple[BakeVariable, ...] = ()
    warnings: tuple[tuple[str, str | None], ...] = ()
    places: BakePlaces = {}


def read(files: Sequence[BakeFile], options: ReadOptions, compose: ComposeReader | None = None) -> ReadDefinition:
    """Read files. Compose files come first, the others are merged onto them in their order. Raises HclError, and
    UnsupportedError for a compose file without a `compose` that reads it.
    """
    bodies: list[tuple[BakeFile, HclBody]] = []
    projects: list[BakeFile] = []
    for file in files:
        body = _parsed(file)
        if body is None:
            projects.append(file)
        else:
            bodies.append((file, body))
    lower = Definition()
    if projects:
        if compose is None:
            raise UnsupportedError(f"{projects[0].name} is a compose file, and nothing here reads those")
        lower = compose(projects)
    if not bodies:
        return ReadDefinition(lower)
    try:
        return _DefinitionReader(bodies, options).read(lower)
    except RecursionError:
        raise UsageError("the files are nested too deeply: blocks, expressions or functions that call others") from None


def _parsed(file: BakeFile) -> HclBody | None:
    """The body of a file; None for a compose file. The suffix of the name decides, or what the text is."""
    source = SourceFile(file.name, file.text)
    name = file.name.lower()
    if name.endswith((".yml", ".yaml")):
        return None
    if name.endswith(".json"):
        return _json(source)
    try:
        return parse_native(source)
    except HclError as error:
        if name.endswith(".hcl"):
            raise
        if file.text.lstrip("\ufeff \t\r\n").startswith("{"):
            return _json(source)
        if _looks_like_yaml(file.text):
            return None
        raise error from None


def _json(source: SourceFile) -> HclBody:
    from polyarch.bake.hcl.jsonform import parse_json

    return parse_json(source)


def _looks_like_yaml(text: str) -> bool:
    return any(line.startswith(("services:", "name:", "version:", "include:")) for line in text.splitlines())


class _DefinitionReader:
    def __init__(self, bodies: Sequence[tuple[BakeFile, HclBody]], options: ReadOptions) -> None:
        self._bodies = bodies
        self._blocks = EvaluatedBlocks()
        self._warnings: list[tuple[str, str | None]] = []
        self._builtin = options.builtin
        outside = Outside(options.given, options.environment, options.builtin)
        evaluator = Evaluator(library.LibraryFunctions(), options.host)
        self._names = BakeNames(evaluator, outside, self._load_block, BLOCK_TYPES)

    def _load_block(self, use: VariableUse, _: EvalScope) -> None:
        self._blocks.load(self._names, use)

    def read(self, lower: Definition) -> ReadDefinition:
        """Evaluate everything, in the order of buildx: variables, functions, blocks, and then the other globals."""
        names = self._names
        self._declare()
        found = names.load_variables()
        names.load_functions()
        self._expand()
        for block in self._blocks.found:
            block.evaluate(names)
        definition = self._definition(lower)
        for name, attribute in names.globals.items():
            names.load_value(name, names.root, attribute.at)
        return ReadDefinition(definition, tuple(found), tuple(self._warnings), places_of(self._blocks.found))

    def _declare(self) -> None:
        """Find the variables, functions and globals of all files. Later ones replace earlier ones."""
        reserved = {*BLOCK_TYPES, *self._builtin}
        for _, body in self._bodies:
            for block in body.blocks("variable", 1):
                if block.labels[0] not in reserved:
                    self._names.variables[block.labels[0]] = declared(block)
                    self._warn_of_others(block.body.attributes(("validation",)), VARIABLE_ATTRIBUTES, "variable")
            for block in body.blocks("function", 1):
                if block.labels[0] not in reserved:
                    self._names.functions[block.labels[0]] = function_block(block)
            for name, attribute in body.attributes(_KINDS).items():
                if name not in reserved:
                    self._names.globals[name] = attribute
            for kind, at in body.block_types():
                if kind not in _KINDS:
                    self._warnings.append(
                        (f"{at}: there is no block {kind!r}: it is ignored", near(kind, list(_KINDS)))
                    )

    def _warn_of_others(self, attributes: Mapping[str, HclAttribute], known: Sequence[str], what: str) -> None:
        for name, attribute in attributes.items():
            if name not in known:
                message = f"{attribute.at}: a {what} has no attribute {name!r}: it is ignored"
                self._warnings.append((message, near(name, list(known))))

    def _expand(self) -> None:
        """Find the blocks, with the instances of their matrices."""
        found = [
            (file, EvaluatedBlock(block))
            for kind in BLOCK_TYPES
            for file, body in self._bodies
            for block in body.blocks(kind, 1)
        ]
        for _, block in found:
            block.expand(self._names)
            self._warnings += block.warnings()
        for _, block in found:
            self._blocks.add(block)
        self._directories = {id(block): file.directory for file, block in found}

    def _definition(self, lower: Definition) -> Definition:
        groups: dict[str, TargetGroup] = {}
        targets: list[BakeTarget] = []
        for block in self._blocks.found:
            if block.kind == "group":
                groups[block.label] = block.group()
            else:
                targets += block.targets(self._directories[id(block)])
        known = merge.onto(lower, Definition(tuple(targets), tuple(groups.values())))
        return Definition(known.targets, merge.with_groups(known.groups, renamed(self._blocks.found)))


def directory_of(name: str) -> str | None:
    """The directory of a file, which its contexts are relative to with BUILDX_BAKE_FILE_RELATIVE_PATHS."""
    return None if name in ("", "-") or "://" in name else str(PurePosixPath(name).parent)
