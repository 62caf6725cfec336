"""The values of a plan: each vertex is one piece of work.

The **identity** of a vertex is its value: equal vertices are the same work in this build, for whichever platforms. Its
inputs are ids of other vertices, so comparing and hashing never descend. The **cache key**, which finds the result in
a later build, is computed by the performer, as late as possible. Names and Dockerfile lines are beside the vertex
(`VertexLabel`), and part of neither.

The file system of a stage is a `Stacked`: the file system below, and one more vertex with layers. So a stage of
thousands of steps has thousands of vertices of the same size, and none lists everything below it. `NOTHING` is scratch.
"""

from collections.abc import Iterable
from typing import Literal, NewType

import msgspec

from polyarch.builder import encoding
from polyarch.oci import digest as digests
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform
from polyarch.sandbox.settings import RunSettings

VertexId = NewType("VertexId", str)
NOTHING = VertexId("")


class ImageLayers(msgspec.Struct, frozen=True, tag=True):
    """The layers of one image, by the digest of its manifest."""

    manifest: Digest


class LinkedLayers(msgspec.Struct, frozen=True, tag="Link"):
    """The layers of an image that another build of the same command makes: `stack` is its file system in the graph of
    `build`. Platforms for which that is the same work share this vertex.
    """

    build: str
    stack: VertexId


class Context(msgspec.Struct, frozen=True, tag=True):
    """The files of a build context; `name` is empty for the main one."""

    name: str


class Stacked(msgspec.Struct, frozen=True, tag=True):
    """A stage's file system: the file system `below`, and on top the layers of the vertex `layers`."""

    below: VertexId
    layers: VertexId


class Inline(msgspec.Struct, frozen=True, tag=True):
    """Files whose content is in the Dockerfile (heredocs): (name, content)."""

    files: tuple[tuple[str, str], ...]
    epoch: int | None = None


class Http(msgspec.Struct, frozen=True, tag=True):
    """One file fetched from a URL."""

    url: str
    checksum: str = ""


class Git(msgspec.Struct, frozen=True, tag=True):
    """The tree of a commit of a repository."""

    url: str
    ref: str = ""
    subdirectory: str = ""
    keep_git_directory: bool = False
    checksum: str = ""
    submodules: bool = True


class CopyPart(msgspec.Struct, frozen=True, kw_only=True):
    """One source of a COPY or ADD: a path or pattern in the files of `source`. A stage as a source is a `Stacked`.

    `pattern` is whether the path may have wildcards: those of fetched files and heredocs have none.
    """

    source: VertexId
    path: str
    pattern: bool = True
    unpack: bool = False


class CopyFiles(msgspec.Struct, frozen=True, tag="Copy", kw_only=True):
    """COPY or ADD: files from its parts into a new layer.

    `base` is the file system that the destination is resolved in. It is empty for `--link` and on scratch: then the
    layer is the same for every platform. `destination` is absolute, and a directory if it ends in a slash. `owner` and
    `mode` are as written, with variables expanded. `accounts` is the file system whose etc/passwd has the names in
    `owner`, empty if there are no names.
    """

    base: VertexId
    accounts: VertexId = NOTHING
    parts: tuple[CopyPart, ...]
    destination: str
    owner: str = ""
    mode: str = ""
    exclude: tuple[str, ...] = ()
    parents: bool = False
    epoch: int | None = None


class MakeDirectory(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """WORKDIR: a directory that is made if it is missing. `owner` is the current USER."""

    base: VertexId
    path: str
    owner: str = ""
    epoch: int | None = None


class RunMount(msgspec.Struct, frozen=True, kw_only=True):
    """One `RUN --mount` with resolved names. `source` is the file system or context that it shows."""

    kind: Literal["bind", "cache", "tmpfs", "secret", "ssh"]
    target: str
    source: VertexId = NOTHING
    path: str = ""
    read_only: bool = False
    id: str = ""
    sharing: Literal["shared", "private", "locked"] = "shared"
    mode: int | None = None
    uid: int = 0
    gid: int = 0
    size: int = 0
    required: bool = False
    env: str = ""


class RunCommand(msgspec.Struct, frozen=True, tag="Run", kw_only=True):
    """A process in a file system. Its changes are the new layer."""

    base: VertexId
    platform: Platform
    argv: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: str = ""
    settings: RunSettings = RunSettings()
    insecure: bool = False
    mounts: tuple[RunMount, ...] = ()
    scripts: tuple[tuple[str, str], ...] = ()
    hostname: str = ""
    epoch: int | None = None


Vertex = ImageLayers | LinkedLayers | Context | Stacked | Inline | Http | Git | CopyFiles | MakeDirectory | RunCommand


class VertexLabel(msgspec.Struct, frozen=True):
    """How a vertex is shown: a name, the platforms that need it, and its first and last line."""

    name: str
    platforms: tuple[Platform, ...] = ()
    lines: tuple[int, int] = (0, 0)


def identity(vertex: Vertex) -> VertexId:
    """The id of a vertex: a digest of its value."""
    return VertexId(digests.of(encoding.to_json(vertex)))


def tag(vertex: Vertex) -> str:
    """The kind of a vertex in one word, as it is encoded."""
    found = vertex.__struct_config__.tag
    assert isinstance(found, str)
    return found


def inputs(vertex: Vertex) -> tuple[VertexId, ...]:
    """The vertices whose results this one needs, each once."""
    match vertex:
        case CopyFiles():
            needed = [vertex.base, vertex.accounts, *(part.source for part in vertex.parts)]
        case MakeDirectory():
            needed = [vertex.base]
        case RunCommand():
            needed = [vertex.base, *(mount.source for mount in vertex.mounts)]
        case Stacked():
            needed = [vertex.below, vertex.layers]
        case _:
            return ()
    return tuple(dict.fromkeys(key for key in needed if key))


class BuildGraph:
    """The vertices of all platforms, each once. Planning adds; solving only reads."""

    def __init__(self) -> None:
        self.vertices: dict[VertexId, Vertex] = {}
        self.labels: dict[VertexId, VertexLabel] = {}
        # Vertices whose cached results must not be used (--no-cache-filter).
        self.uncached: set[VertexId] = set()

    def reach(self, targets: Iterable[VertexId]) -> set[VertexId]:
        """The vertices that are needed for `targets`, themselves included."""
        found: set[VertexId] = set()
        pending = list(targets)
        while pending:
            key = pending.pop()
            if key not in found:
                found.add(key)
                pending += inputs(self.vertices[key])
        return found

    def layers(self, *stages: VertexId) -> tuple[VertexId, ...]:
        """The vertices whose layers are in a stage's file system, lowest first; for several stages in no particular
        order.
        """
        found: list[VertexId] = []
        seen: set[VertexId] = set()
        for stage in stages:
            while stage and stage not in seen:
                seen.add(stage)
                stacked = self.vertices[stage]
                assert isinstance(stacked, Stacked), stage
                found.append(stacked.layers)
                stage = stacked.below
        return tuple(reversed(found))

    def stack(self, below: VertexId, layers: VertexId) -> VertexId:
        """The file system of a stage with one more vertex's layers on it."""
        stacked = Stacked(below, layers)
        key = identity(stacked)
        self.vertices.setdefault(key, stacked)
        return key

    def add(
        self, vertex: Vertex, name: str, platform: Platform | None = None, lines: tuple[int, int] = (0, 0)
    ) -> VertexId:
        """Add `vertex` unless it exists, and `platform` to its label. Returns its id."""
        key = identity(vertex)
        known = self.labels.get(key)
        platforms = known.platforms if known else ()
        if platform is not None and platform not in platforms:
            platforms += (platform,)
        self.vertices.setdefault(key, vertex)
        self.labels[key] = VertexLabel(known.name if known else name, platforms, known.lines if known else lines)
        return key
