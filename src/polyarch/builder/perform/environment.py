"""The environment of a build's steps. The pipeline creates it, and everything that performs steps reads it."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec

from polyarch import progress
from polyarch.builder.cache.results import StepResults
from polyarch.builder.contexts.opener import ContextOpener, SharedInputs
from polyarch.builder.export.streaming import Uploads, no_upload
from polyarch.builder.perform.remotes import Remotes
from polyarch.builder.request.secrets import Secrets
from polyarch.builder.vertices import BuildGraph, VertexId
from polyarch.contents.filesystem import Filesystems
from polyarch.contents.layer import Layer
from polyarch.contents.stack import Stack
from polyarch.layers.compression import Compression

if TYPE_CHECKING:
    from polyarch.builder.perform.copy.files import SourceFiles
    from polyarch.builder.remote import RemoteRunner
    from polyarch.store import Store
    from polyarch.transfer.read_through import ReadThroughSource

# Incremented when the meaning of a cached result changes, so that earlier results are not used.
VERSION = "polyarch-3"
# The result of a vertex: layers, a stage's file system, or files to copy from.
Result: TypeAlias = "tuple[Layer, ...] | Stack | SourceFiles"


class StepSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How steps are done: plain values, which can be sent to another process.

    `created` is the time (RFC 3339) that new layers get. `search_path` finds the runtime and emulators, but
    those of `emulators` (pairs of an architecture and a path). `workers` is how many steps run at a time. No new file
    gets a time after `epoch` (seconds).
    """

    created: str
    search_path: str
    compression: Compression
    secrets: Secrets
    proxies: Mapping[str, str]
    workers: int = 2
    no_cache: bool = False
    emulators: tuple[tuple[str, str], ...] = ()
    epoch: int | None = None


class RunEnvironment(Protocol):
    """The part of a `StepEnvironment` that a RUN needs."""

    @property
    def settings(self) -> StepSettings: ...
    @property
    def store(self) -> "Store": ...
    @property
    def results(self) -> StepResults: ...


class StepEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """Where steps are done: the open objects of this process, which belong to the build's workspace.

    `scratch` is a directory for temporary files; `results` finds and keeps what steps made; `uploads` begins an upload
    for a layer of the result; `remote` has RUN steps done on other machines.
    """

    settings: StepSettings
    store: "Store"
    source: "ReadThroughSource"
    scratch: Path
    contexts: ContextOpener
    remotes: Remotes
    results: StepResults
    uploads: Uploads = no_upload
    common: SharedInputs
    remote: "RemoteRunner | None" = None


class OngoingBuild(msgspec.Struct, frozen=True, dict=True):
    """The graph of a build, and the open objects that its steps need. It owns none of them.

    `emit` takes the events of steps. `stopped` returns whether the build was cancelled or closed.
    """

    graph: BuildGraph
    environment: StepEnvironment
    filesystems: Filesystems
    emit: progress.Emit
    stopped: Callable[[], bool]

    @cached_property
    def shared_caches(self) -> frozenset[str]:
        """The ids of the cache mounts that steps for several architectures share."""
        from polyarch.builder.perform.shared_caches import shared

        return shared(self.graph.vertices.values())


def key_of(vertex: VertexId, inputs: Mapping[VertexId, str]) -> str:
    """The cache key of a stage's file system or another input; empty for scratch."""
    return inputs[vertex] if vertex else ""


def stack_of(vertex: VertexId, inputs: Mapping[VertexId, Result]) -> Stack | None:
    """The layers of a stage's file system; None for scratch."""
    if not vertex:
        return None
    found = inputs[vertex]
    assert isinstance(found, Stack), vertex
    return found
