"""A whole bake: files, variables and words of the command line → the targets to build."""

from collections.abc import Mapping, Sequence

import msgspec

from polyarch import csvfields
from polyarch.bake import entries, overrides
from polyarch.bake import resolve as resolving
from polyarch.bake.attributes import replaced
from polyarch.bake.reading import definition as reading
from polyarch.bake.reading.definition import BakeFile, ComposeReader, ReadDefinition, ReadOptions
from polyarch.bake.remote import BakeWhere
from polyarch.bake.resolve import Resolved
from polyarch.bake.target import BakeTarget
from polyarch.errors import UsageError

_EPOCH = "SOURCE_DATE_EPOCH"


class BakeWords(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says, beside the files. None is what it does not say."""

    targets: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    push: bool = False
    load: bool = False
    no_cache: bool | None = None
    pull: bool | None = None
    sbom: str = ""
    provenance: str = ""
    call: str = ""
    policy: tuple[str, ...] = ()

    def overrides(self) -> tuple[str, ...]:
        """All of it as words of `--set`, in the order of buildx."""
        flags = {"no-cache": self.no_cache, "pull": self.pull}
        return (
            *self.sets,
            *(["*.push=true"] if self.push else []),
            *(["*.load=true"] if self.load else []),
            *([f"*.call={self.call}"] if self.call else []),
            *(f"*.{name}={str(flag).lower()}" for name, flag in flags.items() if flag is not None),
            *([f"*.attest={_attest('sbom', self.sbom)}"] if self.sbom else []),
            *([f"*.attest={_attest('provenance', self.provenance)}"] if self.provenance else []),
            *(f"*.policy+={word}" for word in self.policy),
        )


def _attest(kind: str, word: str) -> str:
    flag = entries.boolean(word)
    return f"type={kind},{word}" if flag is None else f"type={kind},disabled={str(not flag).lower()}"


def variables(words: Sequence[str]) -> dict[str, str]:
    """The values of `--var NAME=VALUE`. Raises UsageError."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not word:
            continue
        if not name or not equals:
            raise UsageError(f"--var {word} is not NAME=VALUE", "as in --var TAG=1.0")
        found[name] = value
    return found


def listing(word: str) -> tuple[str, str]:
    """`--list`: what is listed, and the format. Raises UsageError."""
    given = {"type": word} if "=" not in word else {}
    try:
        if not given:
            given = dict(field.partition("=")[::2] for field in csvfields.fields(word))
    except csvfields.CsvError as error:
        raise UsageError(f"--list {word}: {error}") from None
    what, form = given.get("type", ""), given.get("format") or "table"
    if what not in ("targets", "variables") or form not in ("table", "json") or not given.keys() <= {"type", "format"}:
        raise UsageError(
            f"--list {word} is neither targets nor variables",
            "as in --list targets, or --list type=variables,format=json",
        )
    return what, form


def read(files: Sequence[BakeFile], options: ReadOptions, compose: ComposeReader | None = None) -> ReadDefinition:
    """What the files say. Raises HclError."""
    found = reading.read(files, options, compose)
    if any(file.directory is not None for file in files):
        return msgspec.structs.replace(found, definition=resolving.based_on_files(found.definition))
    return found


def resolve(found: ReadDefinition, words: BakeWords, environment: Mapping[str, str], epoch: str = "") -> Resolved:
    """The targets to build. `environment` is looked up for `--set T.args.NAME`; `epoch` is SOURCE_DATE_EPOCH.

    Raises UsageError, NotFoundError.
    """
    names = [target.name for target in found.definition.targets]
    given = overrides.parse(words.overrides(), names, environment)
    resolved = resolving.resolve(found.definition, words.targets or ("default",), given, found.places)
    if epoch:
        targets = {name: _dated(target, epoch) for name, target in resolved.targets.items()}
        return msgspec.structs.replace(resolved, targets=targets)
    return resolved


def shown(resolved: Resolved, where: BakeWhere) -> Resolved:
    """The targets as `--print` shows them: their contexts are where the files are."""
    targets = {
        name: replaced(target, context=where.shown(target.input.context or "."))
        for name, target in resolved.targets.items()
    }
    return msgspec.structs.replace(resolved, targets=targets) if where.is_fetched else resolved


def _dated(target: BakeTarget, epoch: str) -> BakeTarget:
    args = target.input.args or {}
    return target if _EPOCH in args else replaced(target, args={**args, _EPOCH: epoch})
