"""What the solver calls, for the vertices of a build: keys, cached results, and the work itself."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from polyarch import progress
from polyarch.builder.export.streaming import EarlyLayers, no_upload
from polyarch.builder.perform.copy.performer import CopyPerformer
from polyarch.builder.perform.environment import OngoingBuild, Result, StepEnvironment, stack_of
from polyarch.builder.perform.findings import StepFindings
from polyarch.builder.perform.interruptible import InterruptibleReader
from polyarch.builder.perform.keys import CacheKeys
from polyarch.builder.perform.run_steps import RunSteps
from polyarch.builder.perform.sources import CopySources
from polyarch.builder.solve import Outside
from polyarch.builder.vertices import (
    BuildGraph,
    Context,
    CopyFiles,
    Git,
    Http,
    ImageLayers,
    Inline,
    LinkedLayers,
    MakeDirectory,
    RunCommand,
    Stacked,
    VertexId,
    inputs,
)
from polyarch.contents.filesystem import Filesystems
from polyarch.contents.layer import Layer, layers_of
from polyarch.contents.stack import Stack, on
from polyarch.contents.unpack import Unpacker
from polyarch.dockerfile.instructions.running import Run
from polyarch.dockerfile.parser import Dockerfile
from polyarch.dockerfile.rules import LintFinding
from polyarch.dockerfile.stages import cut
from polyarch.errors import CancelledError
from polyarch.oci import config as configs
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Manifest
from polyarch.oci.place import BlobReader
from polyarch.oci.platform import Platform
from polyarch.sandbox.settings import RunSettings

if TYPE_CHECKING:
    from polyarch.builder.remote import StepReport


class _Marks:
    """Vertices of a build that are treated in another way than most."""

    def __init__(self) -> None:
        # Those whose cached results are not used: by request, or because an input is such a vertex.
        self.uncached: set[VertexId] = set()
        # Results of earlier RUNs that were never packed: only in the user namespace do their files have their owners.
        self.bare: set[VertexId] = set()
        # Those whose results are not what their keys say, because files of a context changed meanwhile.
        self.changed: set[VertexId] = set()


class VertexPerformer:
    """Implements `solve.Performer`. It owns the sandbox and the files that it opened, until `close`."""

    def __init__(self, graph: BuildGraph, environment: StepEnvironment, emit: progress.Emit) -> None:
        self._graph = graph
        self._environment = environment
        self._emit = emit
        # Whether the build was cancelled, or has ended.
        self._stopped = False
        self._early: EarlyLayers | None = None
        # The vertices whose layers are in the result.
        self._targets: frozenset[VertexId] = frozenset()
        # Whether the base layers that are read will be unpacked, too.
        self._unpacks = True
        # The cache key of each vertex, and the selection of files of each copy, by name.
        self._keyed: dict[VertexId, tuple[str, str]] = {}
        self._marks = _Marks()
        self._findings = StepFindings(graph)
        store, source = environment.store, environment.source
        unpacker = Unpacker(store, source, emit, self._open_base_layer)
        self.filesystems = environment.common.once(
            "filesystems", lambda: Filesystems(store, source, unpacker, environment.scratch)
        )
        self._sources = CopySources(graph, environment)
        self._copies = CopyPerformer(graph, environment, self._sources, self.filesystems, emit)
        self._keys = CacheKeys(environment, self._copies)
        self._runs = RunSteps(OngoingBuild(graph, environment, self.filesystems, emit, self.is_stopped))

    def close(self) -> None:
        """Store the stats of contexts, close the files, undo the mounts."""
        self._stopped = True
        self._sources.close()
        self.filesystems.close()
        self._runs.close()

    @property
    def runs(self) -> bool:
        """Whether a step is a RUN."""
        return any(isinstance(value, RunCommand) for value in self._graph.vertices.values())

    def want(self, targets: Iterable[VertexId], early: EarlyLayers | None = None) -> None:
        """Take note of the layers of the result, and of what sends them before all are made."""
        self._targets = frozenset(targets)
        self._early = early

    def begin(self, dockerfile: Dockerfile, platforms: Iterable[Platform], run: RunSettings) -> None:
        """Begin what takes long and needs no plan: copies of emulators, if something runs in their first build.

        What runs on $BUILDPLATFORM is not emulated. Raises DockerfileError if the stages make no sense.
        """
        stages = cut(dockerfile)
        native = stages.on_build_platform()
        emulated = (stage for stage in stages.stages if stage.index not in native)
        if any(isinstance(instruction, Run) for stage in emulated for instruction in stage.instructions):
            self._runs.begin(platforms, run)

    def prefetch(self) -> None:
        """Begin to list the base layers that copies will ask about.

        In a build with RUN nothing is begun: entering the user namespace needs a process without other threads.
        """
        vertices = self._graph.vertices
        if self.runs:
            return
        self._unpacks = False
        self._copies.allow_packing_ahead(self._environment.uploads)
        bases = dict.fromkeys(value.base for value in vertices.values() if isinstance(value, CopyFiles | MakeDirectory))
        images = [value for key in self._graph.layers(*bases) if isinstance(value := vertices[key], ImageLayers)]
        self.filesystems.prefetch(layer for image in images for layer in self._image(image))

    # ── solve.Performer

    def inputs(self, vertex: VertexId) -> tuple[VertexId, ...]:
        """Implements `solve.Performer`."""
        return inputs(self._graph.vertices[vertex])

    def joins(self, vertex: VertexId) -> bool:
        """Implements `solve.Performer`: the file system of a stage only joins layers that other vertices make, and so
        does the image of another build.
        """
        return isinstance(self._graph.vertices[vertex], Stacked | LinkedLayers)

    def cache_key(self, vertex: VertexId, inputs: Mapping[VertexId, str]) -> str:
        """Implements `solve.Performer`. Records what `load`, `perform` and `selection` need to know about the
        vertex.
        """
        value = self._graph.vertices[vertex]
        if (
            self._environment.settings.no_cache
            or vertex in self._graph.uncached
            or not self._marks.uncached.isdisjoint(inputs)
        ):
            self._marks.uncached.add(vertex)
        selection = ""
        if isinstance(value, CopyFiles):
            selection = self._copies.selected(value, inputs, of_result=vertex in self._targets)
        key = self._keys.key(value, inputs, selection)
        self._keyed[vertex] = key, selection
        return key

    def load(self, vertex: VertexId, cache_key: str) -> "Result | None":
        """Implements `solve.Performer`."""
        value = self._graph.vertices[vertex]
        if isinstance(value, Context | Inline | Http):
            return self._sources.files(value)
        if isinstance(value, ImageLayers):
            return self._image(value)
        if isinstance(value, Git | Stacked | LinkedLayers) or vertex in self._marks.uncached:
            return None
        layer = self._environment.results.find(cache_key, self._environment.settings.compression)
        if layer is None:
            return None
        if layer.is_bare:
            self._marks.bare.add(vertex)
        self._findings.add(vertex, layer)
        return (layer,)

    def prepare(self, pending: Iterable[VertexId]) -> None:
        """Implements `solve.Performer`: enter the user namespace, if something runs or an unpacked result is read."""
        todo = tuple(pending)
        steps = [value for vertex in todo if isinstance(value := self._graph.vertices[vertex], RunCommand)]
        self._unpacks = bool(steps)
        read = self._targets.union(*map(self.inputs, todo))
        bare = not self._marks.bare.isdisjoint(read)
        if self._unpacks or bare:
            self._runs.enter(steps, required=bare)
        self._runs.open(todo, self.key_of, self._marks.uncached)
        if steps and self._early is not None:
            self._early.expect(vertex for vertex in todo if not self.joins(vertex))

    def perform(self, vertex: VertexId, cache_key: str, inputs: Mapping[VertexId, Result], outside: Outside) -> Result:
        """Implements `solve.Performer`."""
        if self._stopped:
            raise CancelledError
        if not self._marks.changed.isdisjoint(inputs):
            self._marks.changed.add(vertex)
        value = self._graph.vertices[vertex]
        match value:
            case Stacked():
                return self._stacked(vertex, value, inputs)
            case Git():
                repositories = self._environment.remotes.repositories
                return repositories.files(value, repositories.commit(value))
            case CopyFiles():
                uploads = self._environment.uploads if vertex in self._targets else no_upload
                layer = self._copies.copy(value, inputs, uploads)
                self._compare(vertex)
            case MakeDirectory():
                layer = self._copies.make_directory(value, inputs)
            case RunCommand():
                sources = {key: self._mount_source(key, inputs) for mount in value.mounts if (key := mount.source)}
                layer = self._runs.run(
                    vertex,
                    value,
                    cache_key,
                    stack_of(value.base, inputs),
                    sources,
                    outside,
                    fresh=vertex in self._marks.uncached or vertex in self._marks.changed,
                )
            case _:
                raise AssertionError(f"{type(value).__name__} is loaded, not performed")
        if vertex not in self._marks.changed:
            self._environment.results.keep(cache_key, layer)
        self._findings.add(vertex, layer)
        if self._early is not None:
            self._early.made(vertex, layer)
        return (layer,)

    def _compare(self, vertex: VertexId) -> None:
        """Take note if the files that were copied are not those by which the vertex got its key."""
        if not self._copies.is_current(self._keyed[vertex][1]):
            self._marks.changed.add(vertex)
            self._emit(progress.Warned("files changed during the build: what was copied is not kept in the cache"))

    def cancel(self) -> None:
        """Implements `solve.Performer`."""
        self._stopped = True
        self._environment.remotes.cancel()
        self._runs.cancel()

    def is_stopped(self) -> bool:
        """Whether the build was cancelled, or has ended."""
        return self._stopped

    def link(self, vertex: VertexId) -> LinkedLayers | None:
        """The image of another build that a vertex stands for; None for another vertex."""
        value = self._graph.vertices[vertex]
        return value if isinstance(value, LinkedLayers) else None

    def link_key(self, vertex: VertexId, cache_key: str, build: "VertexPerformer", stack: VertexId) -> None:
        """Take note that a vertex stands for the file system `stack` of another build, which has this cache key."""
        self._keyed[vertex] = cache_key, ""
        if stack in build._marks.uncached:
            self._marks.uncached.add(vertex)

    def linked(self, vertex: VertexId, build: "VertexPerformer", stack: VertexId, result: Result) -> Result:
        """The layers of the file system `stack` of another build, as the result of a vertex that stands for it."""
        if stack in build._marks.bare:
            self._marks.bare.add(vertex)
        if stack in build._marks.changed:
            self._marks.changed.add(vertex)
        assert isinstance(result, Stack), stack
        return tuple(result)

    def take(self, vertex: VertexId, result: Result) -> None:
        """Take note of a result that another build made with the same work."""
        if isinstance(self._graph.vertices[vertex], CopyFiles | MakeDirectory | RunCommand):
            assert isinstance(result, tuple), vertex
            for layer in result:
                self._findings.add(vertex, layer)

    def shape(self, vertex: VertexId) -> Hashable:
        """What the result of a vertex depends on besides its cache key, which builds may differ in."""
        settings, value = self._environment.settings, self._graph.vertices[vertex]
        secret: list[Hashable] = []
        if isinstance(value, RunCommand):
            for mount in value.mounts:
                if mount.kind == "secret":
                    secret.append(settings.secrets.content(mount.id, value.platform))
                elif mount.kind == "ssh":
                    secret.append(settings.secrets.sockets.get(mount.id or "default"))
        return (settings.compression.tag(), settings.no_cache, *secret)

    # ── findings

    def findings(self) -> tuple[LintFinding, ...]:
        """The findings about the results so far, whether this build or an earlier one made them."""
        return self._findings.all()

    def selection(self, vertex: VertexId) -> tuple[str, Callable[[], Mapping[str, str]]] | None:
        """The name of what a copy takes of local files, and a function that returns the digest of each file."""
        return self._copies.details(self._keyed.get(vertex, ("", ""))[1])

    def key_of(self, vertex: VertexId) -> str:
        """The cache key of a vertex; empty if it has none yet."""
        return self._keyed.get(vertex, ("", ""))[0]

    def found(self, vertex: VertexId, *, cached: bool) -> tuple[str, ...]:
        """Which cache outside of the store had the result of a vertex, or why none had it."""
        key, results = self.key_of(vertex), self._environment.results
        if not cached:
            return results.misses(key)
        origin = results.origin(key)
        return (f"found in {origin}",) if origin else ()

    def report(self, vertex: VertexId) -> "StepReport | None":
        """Where another machine did a step; None if it was done here, or not at all."""
        return self._runs.report(vertex)

    # ── results

    def _stacked(self, vertex: VertexId, value: Stacked, inputs: Mapping[VertexId, Result]) -> Stack:
        if not self._marks.bare.isdisjoint(inputs):
            self._marks.bare.add(vertex)
        layers = inputs[value.layers]
        assert isinstance(layers, tuple), value.layers
        stack = on(stack_of(value.below, inputs), layers)
        assert stack is not None
        return stack

    def _mount_source(self, source: VertexId, inputs: Mapping[VertexId, Result]) -> Stack | Path:
        vertex = self._graph.vertices[source]
        if isinstance(vertex, Context):
            return self._sources.shown(source, vertex)
        stack = inputs[source]
        assert isinstance(stack, Stack)
        return stack

    def _image(self, vertex: ImageLayers) -> tuple[Layer, ...]:
        store = self._environment.store
        manifest = store.load(store.resolve(vertex.manifest))
        assert isinstance(manifest, Manifest)
        with self._environment.source.open_blob(manifest.config) as reader:
            config = configs.load(reader.read())
        return tuple(Layer(diff_id=layer.diff_id, blob=layer.blob) for layer in layers_of(manifest, config))

    def _open_base_layer(self, blob: Descriptor) -> BlobReader:
        """A base layer to be listed. It is stored only in a build that runs something, and so unpacks it, too."""
        if self._unpacks:
            return self._environment.source.open_blob(blob)
        return InterruptibleReader(self._environment.source.peek(blob), self.is_stopped)
