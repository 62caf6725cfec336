"""The record of a build, step by step, and the reasons why steps were not cached.

The `parts` of a step are named values that its result depends on, besides its inputs. Comparing them with those of an
earlier build shows what changed; the cache key is a digest, which shows only that something changed.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from polyarch.builder import encoding
from polyarch.builder.vertices import (
    BuildGraph,
    CopyFiles,
    Git,
    Http,
    ImageLayers,
    MakeDirectory,
    RunCommand,
    VertexId,
    inputs,
    tag,
)
from polyarch.sandbox.settings import RunSettings

How = Literal["", "native", "emulated"]

_SHOWN = 4
# The kind of a step that stands for an image of another build.
LINK = "Link"
# Steps that are not done by themselves.
_GIVEN = frozenset({"Context", "Inline", LINK})
# Steps that fetch or read something and build nothing.
_FETCHED = frozenset({"ImageLayers", "Git", "Http"})
_STEP = r"(?s)\[(?:(.*) )?(\d+)/\d+\] (.*)"
# The names of parts in messages.
_WORDS = {"command": "the command", "directory": "the working directory", "user": "the user"}


class StepRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a RUN ran, and where.

    One that a `member` of a farm did took `sent` more seconds to be sent, to wait for its turn there, and to come back.
    One that was emulated would have taken about `native_seconds` natively; `basis` says how that is known.
    """

    how: How = ""
    member: str = ""
    sent: float = 0.0
    native_seconds: float = 0.0
    basis: str = ""


class StepRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of a build. `seconds` is its duration, 0 if it was cached. `ran` is set for RUN only.

    `waited` is how many more seconds it waited for others, as for a locked cache mount. A step is `canceled` if it was
    ended because another step failed or the build was interrupted. An `error` may have a second line, which says what
    helps. `inputs` are the ids of the steps and file systems (`BuildRecord.stacks`) that it needed. `files` names the
    list of files that it copied from a context. `reasons` say why it was not cached, or in which cache outside of the
    store it was found.
    """

    id: str
    name: str
    platforms: tuple[str, ...] = ()
    kind: str
    cached: bool = False
    done: bool = True
    begun: float = 0.0
    seconds: float = 0.0
    waited: float = 0.0
    canceled: bool = False
    ran: StepRun = StepRun()
    error: str = ""
    parts: Mapping[str, str] = {}
    files: str = ""
    inputs: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def how(self) -> How:
        """How a RUN ran; empty for another step."""
        return self.ran.how


class EmulationCost(msgspec.Struct, frozen=True, kw_only=True):
    """What emulation cost for one platform: the seconds that its emulated steps took, and would have taken natively, on
    a `member` of the farm or else any machine. `basis` says how the latter are known.
    """

    platform: str
    seconds: float
    native_seconds: float
    basis: str
    member: bool = False

    def __str__(self) -> str:
        """As a sentence for people."""
        machine = "member" if self.member else "machine"
        return (
            f"{self.platform}: {_rounded(self.seconds)} emulated; a native {machine} would have taken about "
            f"{_rounded(self.native_seconds)} ({self.basis})"
        )


def _rounded(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


class BuildRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One build: when it began (seconds since 1970), what it built, and its steps, inputs first.

    `stacks` are the file systems of its stages by id: the id of the file system below, and of the step on top.
    """

    names: tuple[str, ...]
    context: str
    dockerfile: str
    target: str
    platforms: tuple[str, ...]
    begun: float
    seconds: float
    steps: tuple[StepRecord, ...]
    stacks: Mapping[str, tuple[str, str]] = {}


def encode(record: BuildRecord) -> bytes:
    """The record as bytes."""
    return encoding.to_msgpack(record)


def decode(raw: bytes) -> BuildRecord:
    """The record from the bytes of `encode`. Raises msgspec.DecodeError, ValueError for other bytes."""
    return msgspec.msgpack.decode(raw, type=BuildRecord)


def parts(graph: BuildGraph, vertex: VertexId) -> dict[str, str]:
    """The named values that the result of a vertex depends on, besides its inputs and the files of a context.

    They are stored and shown, so URLs have no password or token in them.
    """
    from polyarch.oci.urls import redact

    value = graph.vertices[vertex]
    match value:
        case ImageLayers():
            return {"image": value.manifest}
        case Http():
            return {"url": redact(value.url), "checksum": value.checksum}
        case Git():
            return {"repository": redact(value.url), "ref": value.ref, "directory": value.subdirectory}
        case CopyFiles():
            sources = " ".join(part.path for part in value.parts)
            flags = {"owner": value.owner, "mode": value.mode, "exclude": " ".join(value.exclude)}
            return {"paths": sources, "destination": value.destination, **flags}
        case MakeDirectory():
            return {"directory": value.path, "owner": value.owner}
        case RunCommand():
            bare = [msgspec.structs.replace(mount, source=()) for mount in value.mounts]
            return {
                "command": encoding.to_json([value.argv, value.scripts]).decode(),
                "directory": value.cwd,
                "user": value.user,
                **_settings(value.settings),
                "mounts": encoding.to_json(bare).decode() if bare else "",
                **{f"${name}": text for name, _, text in (pair.partition("=") for pair in value.env)},
            }
    return {}


def _settings(settings: RunSettings) -> dict[str, str]:
    """The settings of a RUN that are part of its cache key; apart from the network, defaults are left out."""
    hosts = tuple((name, "") for name, _ in settings.hosts)
    found = msgspec.to_builtins(msgspec.structs.replace(settings, hosts=hosts))
    texts = {
        name: value if isinstance(value, str) else encoding.to_json(value).decode() for name, value in found.items()
    }
    return {"network": settings.network, **texts}


def kind(graph: BuildGraph, vertex: VertexId) -> str:
    """The kind of a vertex in one word."""
    return tag(graph.vertices[vertex])


def explained(
    steps: Sequence[StepRecord],
    stacks: Mapping[str, tuple[str, str]],
    before: BuildRecord | None,
    files: Callable[[str], Mapping[str, str]],
    *,
    disabled: Mapping[str, str],
) -> tuple[StepRecord, ...]:
    """The steps, with reasons for those that were not cached: what changed since the build `before`.

    `stacks` are those of `BuildRecord`. `files` returns a list of files by its name: a text that changes with the file
    for each path. `disabled` has the steps whose cached results were not used, by id:
    the option that asked for it.
    """
    former: dict[tuple[str, ...], StepRecord] = {}
    for step in before.steps if before is not None else ():
        former.setdefault(_place(step), step)
        # If there was no build for this platform, compare with one for another.
        former.setdefault(_place(step)[:-1], step)
    changed = _Changed(stacks)
    found: list[StepRecord] = []
    for step in steps:
        if step.kind == "ImageLayers":
            # A base image is not performed, but another one is the reason why the steps on it are.
            known = former.get(_place(step)) or former.get(_place(step)[:-1])
            reasons = tuple(_differences(known.parts, step.parts)) if known is not None else ()
            if reasons:
                changed.add(step)
            found.append(msgspec.structs.replace(step, reasons=reasons))
            continue
        if step.kind == LINK and step.done:
            changed.add(step)
        if step.cached or not step.done or step.kind in _GIVEN:
            found.append(step)
            continue
        place = _place(step)
        known = former.get(place) or former.get(place[:-1])
        reasons = (*_reasons(step, known, before, changed, files, disabled.get(step.id, "")), *step.reasons)
        changed.add(step)
        found.append(msgspec.structs.replace(step, reasons=reasons))
    return tuple(found)


class _Changed:
    """The steps that changed. Of the changed steps of a file system, the lowest one is the cause."""

    def __init__(self, stacks: Mapping[str, tuple[str, str]]) -> None:
        self._stacks = stacks
        self._steps: dict[str, StepRecord] = {}
        # The lowest changed step of each file system that was searched.
        self._lowest: dict[str, StepRecord | None] = {"": None}

    def add(self, step: StepRecord) -> None:
        self._steps[step.id] = step

    def within(self, key: str) -> StepRecord | None:
        """The changed step with this id, or the lowest changed step of the file system with this id."""
        if key not in self._stacks:
            return self._steps.get(key)
        above: list[str] = []
        while key not in self._lowest:
            above.append(key)
            key = self._stacks[key][0]
        found = self._lowest[key]
        for stack in reversed(above):
            found = self._lowest[stack] = found or self._steps.get(self._stacks[stack][1])
        return found


def _reasons(
    step: StepRecord,
    former: StepRecord | None,
    before: BuildRecord | None,
    changed: "_Changed",
    files: Callable[[str], Mapping[str, str]],
    option: str,
) -> Iterable[str]:
    if before is None:
        yield "no earlier build is recorded"
        return
    if former is None:
        yield "the step is new"
        return
    own = [*_instruction(step, former), *_differences(former.parts, step.parts)]
    if step.files != former.files:
        own.append(_files(files(former.files), files(step.files)))
    yield from own
    if own:
        return
    if option:
        yield f"caching was disabled ({option})"
        return
    follows = next(filter(None, map(changed.within, step.inputs)), None)
    if follows is not None:
        name = follows.name.partition("@sha256:")[0]
        yield f"{name} changed" if follows.kind in _FETCHED else f"{name} was rebuilt"
    else:
        yield "an earlier layer changed" if step.inputs != former.inputs else "its result is no longer in the cache"


def _instruction(step: StepRecord, former: StepRecord) -> Iterable[str]:
    mine, theirs = _text(step), _text(former)
    if mine != theirs and step.kind != "ImageLayers":
        yield f"the instruction was: {theirs}"


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> Iterable[str]:
    for name in dict.fromkeys((*before, *after)):
        one, two = before.get(name), after.get(name)
        if one == two:
            continue
        if name == "command":
            continue  # the changed instruction has it already
        word = f"the argument or variable {name[1:]}" if name.startswith("$") else _WORDS.get(name, name)
        if name == "image":
            yield f"the base image changed: {_short(one)} → {_short(two)}"
        elif two is None:
            yield f"{word} was removed (it was {one!r})"
        elif one is None:
            yield f"{word} is new: {two!r}"
        else:
            yield f"{word} changed: {one!r} → {two!r}"


def _files(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    if not before or not after:
        return "its files changed"
    groups = {
        "changed": [path for path in after if path in before and after[path] != before[path]],
        "new": [path for path in after if path not in before],
        "removed": [path for path in before if path not in after],
    }
    texts = []
    for word, paths in groups.items():
        if paths:
            more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
            texts.append(f"{word}: {', '.join(paths[:_SHOWN])}{more}")
    return f"files {'; '.join(texts)}" if texts else "its files changed"


def _place(step: StepRecord) -> tuple[str, ...]:
    """The place of a step in its Dockerfile, by stage and number: it is found again if its text changes."""
    match = re.fullmatch(_STEP, step.name)
    platforms = ",".join(step.platforms)
    if match is not None:
        return ("step", match[1] or "", match[2], platforms)
    return (step.kind, step.name.partition("@")[0], platforms)


def _text(step: StepRecord) -> str:
    match = re.fullmatch(_STEP, step.name)
    return match[3] if match is not None else step.name


def _short(digest: str | None) -> str:
    return (digest or "none").partition(":")[2][:12] or "none"


def needed(graph: BuildGraph, vertex: VertexId) -> tuple[str, ...]:
    """The ids of a vertex's inputs."""
    return tuple(inputs(graph.vertices[vertex]))
