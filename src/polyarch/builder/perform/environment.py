"""Where and how a build's work is done: one value, made by the pipeline, read by all who perform."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from polyarch.builder.cache.results import StepResults
from polyarch.builder.contexts.local import LocalContext as ContextFiles
from polyarch.builder.export.streaming import Uploads, no_upload
from polyarch.builder.perform.copy.files import SourceFiles
from polyarch.builder.perform.git import Repositories
from polyarch.builder.perform.http import Downloads
from polyarch.builder.request.secrets import Secrets
from polyarch.builder.vertices import VertexId
from polyarch.contents.layer import Layer
from polyarch.contents.stack import Stack
from polyarch.layers.compression import Compression

if TYPE_CHECKING:
    from polyarch.store import Store
    from polyarch.transfer.read_through import ReadThroughSource

# Raised when what a cached result means changes, so that no result of before is believed.
VERSION = "polyarch-2"
# What a vertex gives: layers, a stage's file system, or files to copy from.
Result = tuple[Layer, ...] | Stack | SourceFiles


class StepEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how the work is done: `scratch` is a directory for temporary files, `search_path` finds programs.

    `created` is the time (RFC 3339) that new layers get, `now` the same in nanoseconds, for the stat cache.
    `results` finds and keeps what steps made; `contexts` opens a named build
    context; `uploads` begins an upload for a layer of the result.
    """

    store: "Store"
    source: "ReadThroughSource"
    scratch: Path
    search_path: str
    created: str
    now: int
    contexts: Callable[[str], ContextFiles]
    downloads: Downloads
    results: StepResults
    repositories: Repositories
    compression: Compression
    secrets: Secrets
    proxies: Mapping[str, str]
    uploads: Uploads = no_upload
    workers: int = 2
    no_cache: bool = False


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
