"""Builds that ended, whether they succeeded or not: what `buildx history` lists and exports.

A `BuildRecord` is the last build of a project, which `explain` compares with. An entry is one build of many.
"""

import os
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import msgspec

from polyarch.builder import encoding
from polyarch.builder.history.record import StepRecord
from polyarch.builder.request.input import DirectoryContext, ImageContext, LayoutContext, LinkedContext, RemoteContext
from polyarch.errors import CancelledError, PolyarchError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.redaction import hidden
from polyarch.oci.urls import redact
from polyarch.store import tables
from polyarch.store.tables import Table

if TYPE_CHECKING:
    from polyarch.builder.request.input import ContextSource
    from polyarch.builder.request.request import BuildRequest
    from polyarch.builder.result import BuildResult
    from polyarch.store import Store

Status = Literal["completed", "failed", "canceled"]

# The builder and its node in references of builds by docker buildx.
BUILDER = "polyarch"
# BuildKit's ids have this length.
_LENGTH = 25
_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
_INTERNAL = ("Context", "Inline")
_OTHER_NAMES = {"network": "force-network-mode", "hosts": "add-hosts"}


class UsedSource(msgspec.Struct, frozen=True):
    """Something that a build took from elsewhere: a base image, a download or a repository."""

    kind: str
    name: str
    digest: str
    platforms: tuple[str, ...] = ()


class BuildInputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was asked for. `context` is an absolute path, a URL without credentials or `-`; `file` is its Dockerfile.

    `settings` has options by the names of BuildKit's frontend for them.
    """

    context: str = ""
    file: str = ""
    target: str = ""
    platforms: tuple[str, ...] = ()
    arguments: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    contexts: Mapping[str, str] = {}
    settings: Mapping[str, str] = {}


class StepCounts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many steps there were, and how many of them were done or cached."""

    total: int = 0
    done: int = 0
    cached: int = 0


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One build. `reference` is BUILDER/NODE/ID. Times are in seconds, `begun` since 1970.

    `error` is the message of a build that failed, `failed` the name of its step. `root` is the image or index that was
    made. `vcs` is what git said of the context.
    """

    reference: str
    begun: float
    seconds: float
    status: Status
    error: str = ""
    failed: str = ""
    inputs: BuildInputs = BuildInputs()
    steps: StepCounts = StepCounts()
    warnings: int = 0
    sources: tuple[UsedSource, ...] = ()
    root: Descriptor | None = None
    vcs: Mapping[str, str] = {}

    @property
    def id(self) -> str:
        """The last part of the reference."""
        return self.reference.rpartition("/")[2]


_ENTRIES: Table[str, HistoryEntry] = Table(
    tables.ENTRY, encoding.to_msgpack, msgspec.msgpack.Decoder(HistoryEntry).decode
)


def new_reference(node: str = "") -> str:
    """A new reference. `node` is BUILDER/NODE, without it Polyarch itself."""
    number = int.from_bytes(os.urandom(17), "big")
    letters = []
    for _ in range(_LENGTH):
        number, rest = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[rest])
    return f"{node or f'{BUILDER}/{BUILDER}'}/{''.join(letters)}"


def entries(store: "Store") -> list[HistoryEntry]:
    """All entries, the latest first."""
    return sorted(_ENTRIES.all(store.cache).values(), key=lambda entry: -entry.begun)


def remove(store: "Store", ids: Iterable[str]) -> None:
    """Forget entries by their ids."""
    for one in ids:
        _ENTRIES.delete(store.cache, one)


class EntryWriter:
    """Stores the entry of a build when the block ends, however it ends. It owns nothing.

    The build sets `steps` as soon as it knows them, and `result`.
    """

    def __init__(self, request: "BuildRequest", store: "Store") -> None:
        self.reference = request.reference or new_reference()
        self.steps: tuple[StepRecord, ...] = ()
        self.result: BuildResult | None = None
        self._request = request
        self._store = store
        self._start = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        entry = self._entry(error)
        _ENTRIES.put(self._store.cache, entry.id, entry)

    def _entry(self, error: BaseException | None) -> HistoryEntry:
        request, result = self._request, self.result
        failed = next((step.name for step in self.steps if step.error), "")
        counted = [step for step in self.steps if step.kind not in _INTERNAL]
        message = ""
        if error is not None:
            message = error.message if isinstance(error, PolyarchError) else str(error) or type(error).__name__
        elif result is not None and result.failures:
            message = "; ".join(f"{one.platform} failed: {one.message}" for one in result.failures)
        status: Status = "failed" if message else "completed"
        if isinstance(error, CancelledError | KeyboardInterrupt):
            status = "canceled"
        return HistoryEntry(
            reference=self.reference,
            begun=request.created,
            seconds=round(time.monotonic() - self._start, 3),
            status=status,
            error=message,
            failed=failed,
            inputs=BuildInputs(
                context=_context(request),
                file=_file(request),
                target=request.plan.target,
                platforms=tuple(map(str, request.platforms)),
                arguments={name: _argument(value) for name, value in request.plan.arguments.items()},
                labels=dict(request.plan.labels),
                contexts={str(name): _named(source) for name, source in request.contexts()},
                settings=_settings(request),
            ),
            steps=StepCounts(
                total=len(counted),
                done=sum(step.cached or step.done for step in counted),
                cached=sum(step.cached for step in counted),
            ),
            warnings=len(result.warnings) if result is not None else 0,
            sources=tuple(dict.fromkeys(filter(None, map(_source, counted)))),
            root=result.descriptor if result is not None else None,
            vcs=_vcs(result) if result is not None and result.provenance else {},
        )


def _argument(value: str) -> str:
    """The value of a build argument. A URL, as of a proxy or a download, may contain a password or a token."""
    return hidden(value) if "://" in value else value


def _context(request: "BuildRequest") -> str:
    match request.input.context:
        case None:
            return ""
        case DirectoryContext(path):
            return str(path.absolute())
        case RemoteContext(url):
            return redact(url.partition("#")[0]) + "".join(url.partition("#")[1:])
        case _:
            return "-"


def _file(request: "BuildRequest") -> str:
    """The Dockerfile: relative to a context of this machine that it is in."""
    given = request.input
    if given.dockerfile is not None:
        return "-"
    if given.file is None:
        return "Dockerfile"
    if isinstance(given.context, DirectoryContext):
        path = os.path.relpath(given.file.absolute(), given.context.path.absolute())
        return path if not path.startswith("../") else str(given.file.absolute())
    return str(given.file)


def _named(source: "ContextSource") -> str:
    match source:
        case ImageContext():
            return f"docker-image://{source.name}"
        case LayoutContext():
            return source.word
        case LinkedContext():
            return str(source)
        case RemoteContext():
            return redact(source.url)
        case DirectoryContext():
            return str(source.path.absolute())


def _settings(request: "BuildRequest") -> dict[str, str]:
    """The options that differ from their defaults, by the names of BuildKit's frontend."""
    cache = request.cache
    found = {
        "image-resolve-mode": "pull" if cache.pull else "",
        "multi-platform": "true" if len(request.platforms) > 1 else "",
        "no-cache": "*" if cache.no_cache else ",".join(sorted(request.plan.uncached_stages)),
    }
    for field in msgspec.structs.fields(request.plan.run):
        value = getattr(request.plan.run, field.name)
        if value != field.default:
            # BuildKit names most options that may be given several times in the singular.
            name = _OTHER_NAMES.get(field.name) or field.name.replace("_", "-").removesuffix("s")
            if isinstance(value, tuple):
                value = ",".join(f"{first}={':'.join(map(str, rest))}" for first, *rest in value)
            found[name] = str(value)
    return {name: text for name, text in found.items() if text}


def _source(step: StepRecord) -> UsedSource | None:
    match step.kind:
        case "ImageLayers":
            name = step.name.rpartition("FROM ")[2].partition(" ")[0]
            return UsedSource(step.kind, name, step.parts.get("image", ""), step.platforms)
        case "Http":
            return UsedSource(step.kind, step.parts.get("url", ""), step.parts.get("checksum", ""))
        case "Git":
            ref = step.parts.get("ref", "")
            return UsedSource(step.kind, step.parts.get("repository", "") + (f"#{ref}" if ref else ""), "")
    return None


def _vcs(result: "BuildResult") -> dict[str, str]:
    """What the provenance says of the repository that the context is in."""
    for made in result.provenance.values():
        found = made.get("metadata", {}).get("https://mobyproject.org/buildkit@v1#metadata", {}).get("vcs")
        if isinstance(found, dict):
            return found
    return {}
