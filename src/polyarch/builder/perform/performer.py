"""What the solver asks, answered for vertices: keys, the cache, and who does each kind of work."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from polyarch import progress
from polyarch.builder import encoding
from polyarch.builder.export.streaming import no_upload
from polyarch.builder.perform.copy.performer import CopyPerformer
from polyarch.builder.perform.environment import VERSION, Result, StepEnvironment, key_of, stack_of
from polyarch.builder.perform.sources import CopySources
from polyarch.builder.solve import Outside
from polyarch.builder.vertices import (
    NOTHING,
    BuildGraph,
    Context,
    CopyFiles,
    Git,
    Http,
    ImageLayers,
    Inline,
    MakeDirectory,
    RunCommand,
    Stacked,
    Vertex,
    VertexId,
    inputs,
    tag,
)
from polyarch.contents.filesystem import Filesystems
from polyarch.contents.layer import Layer, layers_of
from polyarch.contents.stack import Stack, on
from polyarch.contents.unpack import Unpacker
from polyarch.dockerfile import rules
from polyarch.dockerfile.rules import LintFinding
from polyarch.dockerfile.source import Location
from polyarch.errors import CancelledError
from polyarch.oci import config as configs
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Manifest
from polyarch.oci.place import BlobReader

if TYPE_CHECKING:
    from polyarch.builder.perform.run import Runner
    from polyarch.sandbox import Sandbox

# How often a step looks whether a lock that another process holds is free: a flock cannot be waited for and given up.
_PAUSE = 0.01


class VertexPerformer:
    """A `solve.Performer` of vertices. It owns the sandbox, once it is needed, and open files, until `close`."""

    def __init__(self, graph: BuildGraph, site: StepEnvironment, emit: progress.Emit) -> None:
        self._graph = graph
        self._site = site
        self._emit = emit
        self._lock = threading.Lock()
        self._taken: dict[VertexId, str] = {}
        # What no earlier result is taken for: not what was asked to be done anew, nor what is made of it.
        self._anew: set[VertexId] = set()
        # Cached layers of RUNs that were never packed: their files have their owners only inside the namespace.
        self._bare: set[VertexId] = set()
        self._notes: dict[tuple[VertexId, str, str], None] = {}
        self._cancelled = self._closed = False
        self._unpacks = True
        self._targets: frozenset[VertexId] = frozenset()
        self._sandbox_object: Sandbox | None = None
        self._no_sandbox: Exception | None = None
        self.filesystems = Filesystems(
            site.store, site.source, Unpacker(site.store, site.source, emit, self._glance), site.scratch
        )
        self._sources = CopySources(graph, site)
        self._copies = CopyPerformer(graph, site, self._sources, self.filesystems, emit)

    def close(self) -> None:
        """Undo the mounts, close the files, remember the stats of contexts."""
        self._closed = True
        self._sources.close()
        self.filesystems.close()
        if self._sandbox_object is not None:
            self._sandbox_object.close()
            self._sandbox_object = None

    def foresee(self, targets: Iterable[VertexId]) -> None:
        """What is known before the work begins: the layers of the result, and the bases that copies will ask about.

        Those are begun to be listed while keys are still being worked out; not where something runs, because entering
        the namespace wants a process without other threads.
        """
        self._targets = frozenset(targets)
        vertices = self._graph.vertices
        if any(isinstance(value, RunCommand) for value in vertices.values()):
            return
        self._unpacks = False
        self._copies.allow_packing_ahead(self._site.uploads)
        bases = dict.fromkeys(value.base for value in vertices.values() if isinstance(value, CopyFiles | MakeDirectory))
        images = [value for one in self._graph.layers(*bases) if isinstance(value := vertices[one], ImageLayers)]
        self.filesystems.foresee(layer for image in images for layer in self._image(image))

    # ── what the solver asks

    def inputs(self, vertex: VertexId) -> tuple[VertexId, ...]:
        """As of `solve.Performer`."""
        return inputs(self._graph.vertices[vertex])

    def joins(self, vertex: VertexId) -> bool:
        """As of `solve.Performer`: a stage's file system is only the layers that others make."""
        return isinstance(self._graph.vertices[vertex], Stacked)

    def cache_key(self, vertex: VertexId, inputs: Mapping[VertexId, str]) -> str:
        """As of `solve.Performer`: a digest of the vertex's fields, with its inputs' keys for their ids."""
        value = self._graph.vertices[vertex]
        if self._site.settings.no_cache or vertex in self._graph.uncached or not self._anew.isdisjoint(inputs):
            self._anew.add(vertex)
        parts: list[object] = [VERSION, tag(value)]
        match value:
            case Context():
                # What of it matters is known to those who copy from it.
                parts.append(value.name)
            case CopyFiles():
                rest = msgspec.structs.replace(value, base=NOTHING, accounts=NOTHING, parts=())
                selected = self._copies.selected(value, inputs, of_result=vertex in self._targets)
                taken = self._taken[vertex] = selected
                parts += [rest, key_of(value.base, inputs), key_of(value.accounts, inputs), taken]
            case MakeDirectory():
                parts += [msgspec.structs.replace(value, base=NOTHING), key_of(value.base, inputs)]
            case Stacked():
                parts += [key_of(value.below, inputs), key_of(value.layers, inputs)]
            case RunCommand():
                mounts = [msgspec.structs.replace(mount, source=NOTHING) for mount in value.mounts]
                # The addresses of extra hosts are no reason to run again, their names are; as in BuildKit.
                hosts = tuple((name, "") for name, _ in value.settings.hosts)
                settings = msgspec.structs.replace(value.settings, hosts=hosts)
                bare = msgspec.structs.replace(value, base=NOTHING, mounts=(), settings=settings)
                sources = [self._copies.mounted(mount.source, mount.path, inputs) for mount in value.mounts]
                parts += [bare, mounts, sources, key_of(value.base, inputs)]
            case Http():
                parts.append(self._site.downloads.fetch(value.url, value.checksum).digest)
            case Git():
                # A commit is the same wherever it is fetched from, but .git remembers where that was.
                url = value.url if value.keep_git_directory else ""
                parts += [self._site.repositories.commit(value), msgspec.structs.replace(value, url=url, ref="")]
            case _:
                parts.append(value)
        return f"sha256:{hashlib.sha256(encoding.to_json(parts)).hexdigest()}"

    def load(self, vertex: VertexId, cache_key: str) -> Result | None:
        """As of `solve.Performer`."""
        value = self._graph.vertices[vertex]
        if isinstance(value, Context | Inline | Http):
            return self._sources.files(value)
        if isinstance(value, ImageLayers):
            return self._image(value)
        if isinstance(value, Git | Stacked) or vertex in self._anew:
            return None
        known = self._site.results.find(cache_key, self._site.settings.compression)
        if known is None:
            return None
        if known.is_bare:
            self._bare.add(vertex)
        self._note(vertex, known)
        return (known,)

    def prepare(self, pending: Iterable[VertexId]) -> None:
        """As of `solve.Performer`: enter the namespace, if something runs, or what once ran is to be read."""
        todo = tuple(pending)
        self._unpacks = any(isinstance(self._graph.vertices[vertex], RunCommand) for vertex in todo)
        read = self._targets.union(*map(self.inputs, todo))
        if self._unpacks or not self._bare.isdisjoint(read):
            from polyarch.sandbox import enter

            for warning in enter(self._site.settings.search_path).warnings:
                self._emit(progress.Warned(warning))
            self._site.store.reclaim()

    def perform(self, vertex: VertexId, cache_key: str, inputs: Mapping[VertexId, Result], outside: Outside) -> Result:
        """As of `solve.Performer`."""
        if self._cancelled:
            raise CancelledError
        value = self._graph.vertices[vertex]
        match value:
            case Stacked():
                return self._stacked(vertex, value, inputs)
            case Git():
                return self._site.repositories.files(value, self._site.repositories.commit(value))
            case CopyFiles():
                made = self._copies.copy(value, inputs, self._site.uploads if vertex in self._targets else no_upload)
            case MakeDirectory():
                made = self._copies.make_directory(value, inputs)
            case RunCommand():
                base, created = stack_of(value.base, inputs), self._site.settings.created
                mounted = [mount.source for mount in value.mounts if mount.source]
                sources = {source: self._mount_source(source, inputs) for source in mounted}
                key = self._snapshot_key(vertex, cache_key)
                made = self._runner(outside).run(vertex, value, key, base, sources, created)
            case _:
                raise AssertionError(f"{type(value).__name__} is loaded, not performed")
        self._site.results.keep(cache_key, made)
        self._note(vertex, made)
        return (made,)

    def findings(self) -> tuple[LintFinding, ...]:
        """What is to be said about the results so far, of this build or an earlier one that made them."""
        with self._lock:
            noted = tuple(self._notes)
        labels = self._graph.labels
        return tuple(
            LintFinding(rules.BY_NAME[rule], message, Location(*labels[vertex].lines))
            for vertex, rule, message in noted
        )

    def _note(self, vertex: VertexId, layer: Layer) -> None:
        with self._lock:
            self._notes.update({(vertex, *note): None for note in layer.notes if note[0] in rules.BY_NAME})

    def cancel(self) -> None:
        """As of `solve.Performer`."""
        self._cancelled = True
        self._site.repositories.cancel()
        with self._lock:
            if self._sandbox_object is not None:
                self._sandbox_object.cancel()

    def _snapshot_key(self, vertex: VertexId, cache_key: str) -> str:
        """Where a RUN's result goes: not where one lies that is not wanted, because the first of two wins there."""
        if vertex in self._anew:
            return f"{cache_key}-{os.urandom(6).hex()}"
        return cache_key

    def selection(self, vertex: VertexId) -> "tuple[str, Callable[[], Mapping[str, str]]] | None":
        """What a copy takes of this machine's files: a name for all of it, and, when asked, each file's own digest."""
        return self._copies.details(self._taken.get(vertex, ""))

    # ── results

    def _stacked(self, vertex: VertexId, value: Stacked, inputs: Mapping[VertexId, Result]) -> Stack:
        if not self._bare.isdisjoint(inputs):
            self._bare.add(vertex)
        layers = inputs[value.layers]
        assert isinstance(layers, tuple), value.layers
        found = on(stack_of(value.below, inputs), layers)
        assert found is not None
        return found

    def _mount_source(self, source: VertexId, inputs: Mapping[VertexId, Result]) -> Stack | Path:
        vertex: Vertex = self._graph.vertices[source]
        if isinstance(vertex, Context):
            return self._sources.shown(source, vertex)
        found = inputs[source]
        assert isinstance(found, Stack)
        return found

    def _image(self, vertex: ImageLayers) -> tuple[Layer, ...]:
        store = self._site.store
        manifest = store.load(store.resolve(vertex.manifest))
        assert isinstance(manifest, Manifest)
        with self._site.source.open_blob(manifest.config) as reader:
            config = configs.load(reader.read())
        return tuple(Layer(diff_id=one.diff_id, blob=one.blob) for one in layers_of(manifest, config))

    def _runner(self, outside: Outside) -> "Runner":
        from polyarch.builder.perform.run import Runner
        from polyarch.builder.perform.shared_caches import shared

        site = self._site

        def wait(attempt: Callable[[], bool]) -> None:
            with outside():
                while not attempt():
                    if self._cancelled or self._closed:
                        raise CancelledError
                    time.sleep(_PAUSE)

        return Runner(
            site.store,
            self.filesystems,
            self._sandbox,
            site.settings.secrets,
            site.settings.proxies,
            self._emit,
            wait,
            shared(self._graph.vertices.values()),
        )

    def _sandbox(self) -> "Sandbox":
        from polyarch.sandbox import Sandbox

        with self._lock:
            # Every step that waited for it gets the reason of the first attempt, not what came of it.
            if self._no_sandbox is not None:
                raise self._no_sandbox
            if self._sandbox_object is None:
                try:
                    directory = self._site.scratch / "sandbox"
                    directory.mkdir()
                    emulators = self._site.store.layout.emulators
                    self._sandbox_object = Sandbox(directory, self._site.settings.search_path, emulators)
                except Exception as error:
                    self._no_sandbox = error
                    raise
            return self._sandbox_object

    def _glance(self, blob: Descriptor) -> BlobReader:
        """A base's layer to be listed: kept where something runs, for which it will be unpacked, too."""
        if self._unpacks:
            return self._site.source.open_blob(blob)
        return _Stoppable(self._site.source.peek(blob), lambda: self._cancelled or self._closed)


class _Stoppable:
    """A reader that ends with the build that it is for: whoever interrupts one need not wait for a large base."""

    def __init__(self, reader: BlobReader, stopped: Callable[[], bool]) -> None:
        self._reader = reader
        self._stopped = stopped
        self.close = reader.close

    def read(self, size: int = -1, /) -> bytes:
        """As of `place.Readable`."""
        if self._stopped():
            raise CancelledError
        return self._reader.read(size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
