"""The cache key of each vertex: a digest of its fields, in which the keys of its inputs stand for their ids."""

from collections.abc import Mapping

import msgspec

from polyarch.builder import encoding
from polyarch.builder.perform.copy.performer import CopyPerformer
from polyarch.builder.perform.environment import VERSION, StepEnvironment, key_of
from polyarch.builder.vertices import (
    NOTHING,
    Context,
    CopyFiles,
    Git,
    Http,
    MakeDirectory,
    RunCommand,
    Stacked,
    Vertex,
    VertexId,
    tag,
)
from polyarch.oci import digest as digests


class CacheKeys:
    """Computes keys and records nothing. Asks servers for the current state of URLs and repositories."""

    def __init__(self, environment: StepEnvironment, copies: CopyPerformer) -> None:
        self._environment = environment
        self._copies = copies

    def key(self, vertex: Vertex, inputs: Mapping[VertexId, str], selection: str = "") -> str:
        """The key of a vertex; `inputs` are the keys of its inputs, `selection` is what a copy takes.

        Raises what fetching raises.
        """
        parts = [VERSION, tag(vertex), *self._parts(vertex, inputs, selection)]
        return digests.of(encoding.to_json(parts))

    def _parts(self, vertex: Vertex, inputs: Mapping[VertexId, str], selection: str) -> list[object]:
        match vertex:
            case Context():
                # The files that matter are in the keys of the vertices that copy them.
                return [vertex.name]
            case CopyFiles():
                rest = msgspec.structs.replace(vertex, base=NOTHING, accounts=NOTHING, parts=())
                return [rest, key_of(vertex.base, inputs), key_of(vertex.accounts, inputs), selection]
            case MakeDirectory():
                return [msgspec.structs.replace(vertex, base=NOTHING), key_of(vertex.base, inputs)]
            case Stacked():
                return [key_of(vertex.below, inputs), key_of(vertex.layers, inputs)]
            case RunCommand():
                return self._run_parts(vertex, inputs)
            case Http():
                return [self._environment.remotes.downloads.fetch(vertex.url, vertex.checksum).digest]
            case Git():
                # A commit is the same wherever it is fetched from, but .git has the URL in it.
                url = vertex.url if vertex.keep_git_directory else ""
                commit = self._environment.remotes.repositories.commit(vertex)
                return [commit, msgspec.structs.replace(vertex, url=url, ref="")]
        return [vertex]

    def _run_parts(self, vertex: RunCommand, inputs: Mapping[VertexId, str]) -> list[object]:
        mounts = [msgspec.structs.replace(mount, source=NOTHING) for mount in vertex.mounts]
        # As in BuildKit, a RUN depends on the names of its extra hosts, and not on their addresses.
        hosts = tuple((name, "") for name, _ in vertex.settings.hosts)
        settings = msgspec.structs.replace(vertex.settings, hosts=hosts, emulated_cpus=_own_processor(vertex))
        bare = msgspec.structs.replace(vertex, base=NOTHING, mounts=(), settings=settings)
        sources = [self._copies.mounted(mount.source, mount.path, inputs) for mount in vertex.mounts]
        return [bare, mounts, sources, key_of(vertex.base, inputs)]


def _own_processor(vertex: RunCommand) -> tuple[tuple[str, str], ...]:
    """Return the processor that the options name for this platform. By default, it is not part of a key."""
    if not vertex.settings.emulated_cpus:
        return ()
    from polyarch.sandbox import processors

    model = processors.chosen(vertex.platform, vertex.settings.emulated_cpus)
    return () if model is None else (("", model),)
