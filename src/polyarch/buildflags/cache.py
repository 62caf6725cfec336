"""`--cache-from` and `--cache-to`: which caches a build reads and writes, in buildx's words.

A value is `type=registry,ref=NAME,…`, or in short form the names of caches in registries, separated by commas. The
attributes of a type are in `polyarch.buildcache.types`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, get_args

import msgspec

from polyarch import csvfields
from polyarch.buildcache.carrier import CarrierType
from polyarch.buildcache.types import CARRIERS, COMMON_SOURCE, COMMON_TARGET, identity
from polyarch.buildcache.wanted import CachePlace, CacheSource, CacheTarget, Mode
from polyarch.buildflags import output, values
from polyarch.errors import UsageError
from polyarch.secret import Variables

_Option = Literal["--cache-from", "--cache-to"]
# How --cache-to type=inline is written: into the image, so there is no place. Its mode is always "min".
INLINE = "inline"
_INLINE = frozenset({"mode", "ignore-error"})
_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")
_HINTS: Mapping[_Option, str] = {
    "--cache-from": "as in type=registry,ref=localhost:5000/app:cache or type=local,src=DIRECTORY",
    "--cache-to": "as in type=registry,ref=localhost:5000/app:cache or type=local,dest=DIRECTORY",
}


class ParsedCaches(msgspec.Struct, frozen=True):
    """The parsed options. `notes` are warnings about caches that are left out or treated differently."""

    sources: tuple[CacheSource, ...] = ()
    targets: tuple[CacheTarget, ...] = ()
    inline: bool = False
    notes: tuple[str, ...] = ()


def parse(
    given_from: object,
    given_to: object,
    arguments: Mapping[str, str],
    variables: Mapping[str, str],
    here: Path,
) -> ParsedCaches:
    """Parse both options. `arguments` are the build's: BUILDKIT_INLINE_CACHE=1 asks for an inline cache. `variables`
    are those of the environment; some attributes are taken from them. Paths are relative to `here`. Raises UsageError.
    """
    notes: list[str] = []
    sources: list[CacheSource] = []
    for word in values.items("--cache-from", given_from, str, CacheSource):
        sources += [word] if isinstance(word, CacheSource) else _sources(word, variables, here, notes)
    targets: list[CacheTarget] = []
    inline = arguments.get("BUILDKIT_INLINE_CACHE", "").lower() in _TRUE
    for word in values.items("--cache-to", given_to, str, CacheTarget):
        for kind, attributes in [] if isinstance(word, CacheTarget) else _words("--cache-to", word):
            if kind == INLINE:
                inline = True
                _check_inline(attributes, notes)
            else:
                targets += _target(kind, attributes, variables, here, notes)
        targets += [word] if isinstance(word, CacheTarget) else []
    _refuse_twice(targets)
    once = tuple(one for number, one in enumerate(sources) if one not in sources[:number])
    return ParsedCaches(once, tuple(targets), inline, tuple(notes))


def parse_source(word: str, variables: Mapping[str, str], here: Path) -> CacheSource:
    """Parse one value of --cache-from that names exactly one cache. Raises UsageError."""
    notes: list[str] = []
    found = _sources(word, variables, here, notes)
    if len(found) != 1:
        raise UsageError(notes[0] if notes else f"{word!r} is not one cache", _HINTS["--cache-from"])
    return found[0]


def _sources(word: str, variables: Mapping[str, str], here: Path, notes: list[str]) -> list[CacheSource]:
    found: list[CacheSource] = []
    for kind, attributes in _words("--cache-from", word):
        if kind == INLINE:
            raise UsageError("--cache-from: type=inline is in an image", "name the image: type=registry,ref=IMAGE")
        place = _place("--cache-from", kind, attributes, variables, here, notes)
        if place is not None:
            found.append(CacheSource(place=place, ttl=_ttl("--cache-from", attributes), mounts=_mounts(attributes)))
    return found


def _target(
    kind: str, attributes: dict[str, str], variables: Mapping[str, str], here: Path, notes: list[str]
) -> list[CacheTarget]:
    place = _place("--cache-to", kind, attributes, variables, here, notes)
    if "@" in attributes.get("ref", ""):
        raise UsageError(
            f"--cache-to: {attributes['ref']} has a digest, so it cannot be written",
            "leave out the @ and what follows it",
        )
    mode = attributes.get("mode", "min")
    if mode not in get_args(Mode):
        raise UsageError(
            f"--cache-to: mode={mode} is unknown", "mode=min for the image's layers, mode=max for all steps"
        )
    compression, level = attributes.get("compression"), attributes.get("compression-level")
    if level is not None and compression is None:
        raise UsageError("--cache-to: compression-level needs a compression", "add compression=gzip, zstd or estargz")
    target = CacheTarget(
        place=place or CachePlace(kind),
        mode="max" if mode == "max" else "min",
        ignore_error=_flag("--cache-to", "ignore-error", attributes),
        ttl=_ttl("--cache-to", attributes),
        compression=None if compression is None else output.compression("--cache-to", compression, level),
        force_compression=_flag("--cache-to", "force-compression", attributes),
        mounts=_mounts(attributes),
    )
    return [] if place is None else [target]


def _place(
    option: _Option,
    kind: str,
    attributes: dict[str, str],
    variables: Mapping[str, str],
    here: Path,
    notes: list[str],
) -> CachePlace | None:
    """The place that the attributes name; None, with a note, if this type of cache cannot work here."""
    known = _known(option, kind)
    own, common = (known.source, COMMON_SOURCE) if option == "--cache-from" else (known.target, COMMON_TARGET)
    # BuildKit ignores what it does not know, so mode=max is often given to both options.
    idle = (known.target | COMMON_TARGET) - known.needed if option == "--cache-from" else frozenset[str]()
    for name in attributes:
        if name in idle - own - common:
            notes.append(f"--cache-from: {name}= has no effect, only --cache-to accepts it")
        elif name not in own | common:
            raise UsageError(f"{option}: type={kind} does not accept {name}", _meant(name, own | common, "it accepts"))
    found = {name: value for name, value in attributes.items() if name in own}
    for name in sorted(known.environment.keys() - found.keys()):
        given = next(filter(None, (variables.get(variable) for variable in known.environment[name])), None)
        if given is not None:
            found[name] = given
    for name in sorted(known.flags & found.keys()):
        _flag(option, name, found)
    for name in sorted(known.paths & found.keys()):
        if not found[name]:
            raise UsageError(f"{option}: type={kind} needs {name}", f"add {name}=…; {_HINTS[option]}")
        found[name] = str(here / found[name])
    if reason := known.inactive(found):
        note = f"{option}: type={kind} is left out: {reason}"
        if note not in notes:
            notes.append(note)
        return None
    for name in sorted(known.needed & own):
        if not found.get(name):
            raise UsageError(f"{option}: type={kind} needs {name}", f"add {name}=…; {_HINTS[option]}")
    known.check(found)
    return CachePlace(kind, Variables(found))


def _words(option: _Option, word: str) -> list[tuple[str, dict[str, str]]]:
    """The types and attributes of one value: several of the short form, else one."""
    if not word.strip():
        raise UsageError(f"{option}: the value is empty", _HINTS[option])
    try:
        fields = csvfields.fields(word)
    except csvfields.CsvError as error:
        raise UsageError(f"{option}: {word!r}: {error}", _HINTS[option]) from None
    if "=" not in word:
        return [("registry", {"ref": field.strip()}) for field in fields]
    attributes: dict[str, str] = {}
    for field in fields:
        key, equals, value = field.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{option}: {field!r} is not a KEY=VALUE", _HINTS[option])
        attributes[key.strip().lower()] = value
    kind = attributes.pop("type", "")
    if not kind:
        raise UsageError(f"{option} has no type", _HINTS[option])
    return [(kind, attributes)]


def _known(option: _Option, kind: str) -> CarrierType:
    known = CARRIERS.get(kind)
    if known is None:
        raise UsageError(f"{option}: unknown type {kind!r}", _meant(kind, (*CARRIERS, INLINE), "known types:"))
    return known


def _check_inline(attributes: Mapping[str, str], notes: list[str]) -> None:
    for name in attributes:
        if name not in _INLINE:
            raise UsageError(f"--cache-to: type=inline does not accept {name}", _meant(name, _INLINE, "it accepts"))
    if attributes.get("mode", "min") == "max":
        notes.append("--cache-to type=inline has the image's layers only, as in BuildKit: mode=max needs type=registry")
    elif attributes.get("mode", "min") != "min":
        raise UsageError(f"--cache-to: mode={attributes['mode']} is unknown", "type=inline has mode=min")


def _refuse_twice(targets: Iterable[CacheTarget]) -> None:
    """Two writes to one cache in one build are a mistake, as in BuildKit."""
    seen: set[tuple[str, ...]] = set()
    for target in targets:
        where = identity(target.place)
        if where in seen:
            raise UsageError(f"--cache-to: {' '.join(filter(None, where))} is given twice", "leave one of them out")
        seen.add(where)


def _flag(option: _Option, name: str, attributes: Mapping[str, str]) -> bool:
    """A boolean in the spellings of Go's strconv.ParseBool."""
    value = attributes.get(name, "false")
    if value.lower() not in (*_TRUE, *_FALSE):
        raise UsageError(f"{option}: {name}={value} is neither true nor false", _HINTS[option])
    return value.lower() in _TRUE


def _ttl(option: _Option, attributes: Mapping[str, str]) -> float | None:
    """A duration in Go's form, as buildah's --cache-ttl takes it, in seconds."""
    if "ttl" not in attributes:
        return None
    from polyarch.dockerfile.instructions.healthcheck import duration
    from polyarch.dockerfile.source import DockerfileError

    hint = "expected a duration such as 168h or 30m"
    try:
        seconds = duration(attributes["ttl"]) / 1e9
    except DockerfileError as error:
        raise UsageError(f"{option}: ttl={attributes['ttl']}: {error.message.rpartition('time: ')[2]}", hint) from None
    if seconds <= 0:
        raise UsageError(f"{option}: ttl={attributes['ttl']} is not positive", hint)
    return seconds


def _mounts(attributes: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in attributes.get("mounts", "").split(";"))))


def _meant(word: str, known: Iterable[str], otherwise: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, known, n=1)
    return f"did you mean {near[0]}?" if near else f"{otherwise} {', '.join(sorted(known))}"
