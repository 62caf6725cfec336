"""What the solver asks, answered for vertices: keys, the cache, and who does each kind of work."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from polyarch import progress
from polyarch.builder import coding
from polyarch.builder.perform import copying, files, layer, placing
from polyarch.builder.perform.archives import Archive, open_archive
from polyarch.builder.perform.context import Context as ContextFiles
from polyarch.builder.perform.context import unpacked
from polyarch.builder.perform.files import Files, StageFiles
from polyarch.builder.perform.filesystem import Filesystems
from polyarch.builder.perform.git import Repositories
from polyarch.builder.perform.http import Downloads
from polyarch.builder.perform.layer import Layer
from polyarch.builder.perform.secrets import Secrets
from polyarch.builder.perform.streaming import Uploads, no_upload
from polyarch.builder.plan import remote
from polyarch.builder.vertices import (
    Context,
    Copy,
    CopyPart,
    Git,
    Graph,
    Http,
    ImageLayers,
    Inline,
    Layers,
    MakeDirectory,
    Run,
    Vertex,
    VertexId,
    inputs,
)
from polyarch.errors import PolyarchError
from polyarch.images.unpack import Unpacker, layers_of
from polyarch.layers.compression import Compression
from polyarch.oci import config as configs
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Manifest
from polyarch.oci.place import BlobReader

if TYPE_CHECKING:
    from polyarch.builder.perform.running import Runner
    from polyarch.sandbox import Sandbox
    from polyarch.store import Store
    from polyarch.transfer.lazy import LazySource

# Raised when what a cached result means changes, so that no result of before is believed.
_VERSION = "polyarch-1"
_RESULT = "result"
_LAST = "last"
_SELECTION = "selection"

Result = tuple[Layer, ...] | Files


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how the work is done: `scratch` is a directory for temporary files, `search_path` finds programs.

    `created` is the time (RFC 3339) that new layers get, `now` the same in nanoseconds, for the stat cache.
    `contexts` opens a named build context; `uploads` begins an upload for a layer of the result.
    """

    store: "Store"
    source: "LazySource"
    scratch: Path
    search_path: str
    created: str
    now: int
    contexts: Callable[[str], ContextFiles]
    downloads: Downloads
    repositories: Repositories
    compression: Compression
    secrets: Secrets
    proxies: Mapping[str, str]
    uploads: Uploads = no_upload
    workers: int = 2
    no_cache: bool = False


class Performer:
    """A `solve.Performer` of vertices. It owns the sandbox, once it is needed, and open files, until `close`."""

    def __init__(self, graph: Graph, site: Site, emit: progress.Emit) -> None:
        self._graph = graph
        self._site = site
        self._emit = emit
        self._lock = threading.Lock()
        self._contexts: dict[str, ContextFiles] = {}
        self._selections: dict[str, str] = {}
        self._arrangements: dict[str, copying.Arrangement] = {}
        self._arranged: dict[str, list[copying.Arrangement]] = {}
        self._unread: dict[str, Copy] = {}
        self._taken: dict[VertexId, str] = {}
        self._flights: dict[str, threading.Lock] = {}
        # What no earlier result is taken for: not what was asked to be done anew, nor what is made of it.
        self._anew: set[VertexId] = set()
        self._cancelled = self._closed = False
        self._unpacks = True
        self._targets: frozenset[VertexId] = frozenset()
        self._sandbox_object: Sandbox | None = None
        self.filesystems = Filesystems(
            site.store, site.source, Unpacker(site.store, site.source, emit, self._glance), site.scratch
        )

    def close(self) -> None:
        """Undo the mounts, close the files, remember the stats of contexts."""
        self._closed = True
        for context in self._contexts.values():
            context.remember()
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
        if any(isinstance(value, Run) for value in vertices.values()):
            return
        self._unpacks = False
        below = [value.base for value in vertices.values() if isinstance(value, Copy | MakeDirectory)]
        bases = dict.fromkeys(base for layers in below for base in layers)
        images = [value for base in bases if isinstance(value := vertices[base], ImageLayers)]
        self.filesystems.foresee(layer for image in images for layer in self._image(image))

    # ── what the solver asks

    def inputs(self, vertex: VertexId) -> Layers:
        """As of `solve.Performer`."""
        return inputs(self._graph.vertices[vertex])

    def cache_key(self, vertex: VertexId, inputs: Mapping[VertexId, str]) -> str:
        """As of `solve.Performer`: a digest of the vertex's fields, with its inputs' keys for their ids."""
        value = self._graph.vertices[vertex]
        if self._site.no_cache or vertex in self._graph.uncached or not self._anew.isdisjoint(inputs):
            self._anew.add(vertex)
        parts: list[object] = [_VERSION, type(value).__name__]
        match value:
            case Context():
                # What of it matters is known to those who copy from it.
                parts.append(value.name)
            case Copy():
                rest = msgspec.structs.replace(value, base=(), accounts=(), parts=())
                taken = self._taken[vertex] = self._selected(value, inputs)
                parts += [rest, _keys(value.base, inputs), _keys(value.accounts, inputs), taken]
            case MakeDirectory():
                parts += [msgspec.structs.replace(value, base=()), _keys(value.base, inputs)]
            case Run():
                mounts = [msgspec.structs.replace(mount, source=()) for mount in value.mounts]
                # The addresses of extra hosts are no reason to run again, their names are; as in BuildKit.
                hosts = tuple((name, "") for name, _ in value.hosts)
                bare = msgspec.structs.replace(value, base=(), mounts=(), hosts=hosts)
                sources = [self._mounted(mount.source, mount.path, inputs) for mount in value.mounts]
                parts += [bare, mounts, sources, _keys(value.base, inputs)]
            case Http():
                parts.append(self._site.downloads.fetch(value.url, value.checksum).digest)
            case Git():
                # A commit is the same wherever it is fetched from, but .git remembers where that was.
                url = value.url if value.keep_git_directory else ""
                parts += [self._site.repositories.commit(value), msgspec.structs.replace(value, url=url, ref="")]
            case _:
                parts.append(value)
        return f"sha256:{hashlib.sha256(coding.to_json(parts)).hexdigest()}"

    def load(self, vertex: VertexId, cache_key: str) -> Result | None:
        """As of `solve.Performer`."""
        value = self._graph.vertices[vertex]
        if isinstance(value, Context | Inline | Http):
            return self._files(value)
        if isinstance(value, ImageLayers):
            return self._image(value)
        if isinstance(value, Git) or vertex in self._anew:
            return None
        known = self._cached(cache_key)
        return None if known is None else (known,)

    def prepare(self, pending: Iterable[VertexId]) -> None:
        """As of `solve.Performer`: enter the namespace, if something runs."""
        self._unpacks = any(isinstance(self._graph.vertices[vertex], Run) for vertex in pending)
        if self._unpacks:
            from polyarch.sandbox import enter

            for warning in enter(self._site.search_path).warnings:
                self._emit(progress.Warned(warning))
            self._site.store.reclaim()

    def perform(self, vertex: VertexId, cache_key: str, inputs: Mapping[VertexId, Result]) -> Result:
        """As of `solve.Performer`."""
        if self._cancelled:
            raise PolyarchError("cancelled")
        value = self._graph.vertices[vertex]
        match value:
            case Git():
                return self._site.repositories.files(value, self._site.repositories.commit(value))
            case Copy():
                made = self._copy(value, inputs, self._site.uploads if vertex in self._targets else no_upload)
            case MakeDirectory():
                made = self._make_directory(value, inputs)
            case Run():
                base, created = _stack(value.base, inputs), self._site.created
                sources = {
                    source: self._mount_source(source, inputs) for mount in value.mounts for source in mount.source
                }
                made = self._runner().run(vertex, value, self._snapshot_key(vertex, cache_key), base, sources, created)
            case _:
                raise AssertionError(f"{type(value).__name__} is loaded, not performed")
        self._site.store.cache.put(_RESULT, cache_key, layer.encode(made))
        return (made,)

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
        name = self._taken.get(vertex, "")
        if name in self._unread:
            return name, lambda: self._arrangement(self._unread[name]).fingerprints()
        arranged = self._arrangements.get(name)
        return (name, arranged.fingerprints) if arranged is not None else None

    # ── results

    def _cached(self, cache_key: str) -> Layer | None:
        """The layer of an earlier run, if one of its forms is still there."""
        store = self._site.store
        found = layer.remembered(store, _RESULT, cache_key)
        if found is None:
            return None
        if found.blob is not None:
            return found if store.has_blob(found.blob) else None
        if store.snapshots.get(found.snapshot) is not None:
            return found
        packed = layer.packed(store, found, self._site.compression)
        return packed if packed is not None and packed.blob and store.has_blob(packed.blob) else None

    def _image(self, vertex: ImageLayers) -> tuple[Layer, ...]:
        store = self._site.store
        manifest = store.load(store.resolve(vertex.manifest))
        assert isinstance(manifest, Manifest)
        with self._site.source.open_blob(manifest.config) as reader:
            config = configs.load(reader.read())
        return tuple(Layer(diff_id=one.diff_id, blob=one.blob) for one in layers_of(manifest, config))

    def _files(self, vertex: Context | Inline | Http) -> Files:
        if isinstance(vertex, Inline):
            return files.inline(vertex.files, vertex.epoch or 0)
        if isinstance(vertex, Http):
            downloads = self._site.downloads
            return downloads.files(downloads.fetch(vertex.url, vertex.checksum), remote.file_name(vertex.url))
        context = self._context(vertex)
        with self._lock:
            return context.files

    def _context(self, vertex: Context) -> ContextFiles:
        with self._lock:
            if vertex.name not in self._contexts:
                self._contexts[vertex.name] = self._site.contexts(vertex.name)
            return self._contexts[vertex.name]

    def _runner(self) -> "Runner":
        from polyarch.builder.perform.running import Runner

        site = self._site
        return Runner(site.store, self.filesystems, self._sandbox, site.secrets, site.proxies, self._emit)

    def _sandbox(self) -> "Sandbox":
        from polyarch.sandbox import Sandbox

        with self._lock:
            if self._sandbox_object is None:
                directory = self._site.scratch / "sandbox"
                directory.mkdir()
                self._sandbox_object = Sandbox(directory, self._site.search_path)
            return self._sandbox_object

    def _glance(self, blob: Descriptor) -> BlobReader:
        """A base's layer to be listed: kept where something runs, for which it will be unpacked, too."""
        if self._unpacks:
            return self._site.source.open_blob(blob)
        return _Stoppable(self._site.source.pass_by(blob), lambda: self._cancelled or self._closed)

    # ── copying

    def _selected(self, vertex: Copy, inputs: Mapping[VertexId, str]) -> str:
        """What a copy takes, by content for files of this machine, by their stages' keys for others.

        The same selection serves all platforms, so it is worked out once.
        """
        question = msgspec.structs.replace(vertex, base=(), accounts=())
        name = f"{coding.to_json(question)!r}{[_keys(part.source, inputs) for part in vertex.parts]}"
        if name not in self._selections:
            self._selections[name] = self._select(vertex, inputs)
        return self._selections[name]

    def _select(self, vertex: Copy, inputs: Mapping[VertexId, str]) -> str:
        sources = [self._graph.vertices[source] for part in vertex.parts for source in part.source]
        contexts = [self._context(source) for source in sources if isinstance(source, Context)]
        if len(contexts) != len(vertex.parts) or len(sources) != len(contexts):
            return self._read(vertex, inputs)
        # What was selected of directories that have not changed since is known without reading a name twice.
        cache = self._site.store.cache
        row = f"{_VERSION} {_question(vertex, (), None)} {[str(context.root) for context in contexts]}"
        signatures = [context.signature() for context in contexts]
        known = cache.get(_SELECTION, row)
        if known is not None and all(signatures):
            *before, name = known.decode().split(" ")
            if before == signatures:
                self._unread[name] = vertex
                return name
        name = self._read(vertex, inputs)
        if all(signatures):
            cache.put(_SELECTION, row, " ".join((*signatures, name)).encode())
        return name

    def _read(self, vertex: Copy, inputs: Mapping[VertexId, str]) -> str:
        local = [self._local(part.source) for part in vertex.parts]
        digest = hashlib.sha256()
        for part, found in zip(vertex.parts, local, strict=True):
            digest.update(coding.to_json((part.path, part.pattern, part.unpack)))
            if found is None:
                digest.update(_keys(part.source, inputs).encode())
        chosen = [number for number, found in enumerate(local) if found is not None]
        if chosen:
            only = msgspec.structs.replace(vertex, parts=tuple(vertex.parts[number] for number in chosen))
            arranged = self._arrangement(only)
            digest.update(arranged.fingerprint(times=False).encode())
            self._arrangements[digest.hexdigest()] = arranged
            if len(chosen) == len(local) and not any(part.unpack for part in vertex.parts):
                bare = msgspec.structs.replace(only, owner="")
                self._arranged.setdefault(_question(bare, arranged.sources, None), []).append(arranged)
        return digest.hexdigest()

    def _arrangement(self, vertex: Copy) -> copying.Arrangement:
        """What a copy whose sources are all of this machine takes, as it would lie on nothing."""
        found = [source for part in vertex.parts if (source := self._local(part.source)) is not None]
        bare = msgspec.structs.replace(vertex, owner="")
        return copying.arrange(bare, found, placing.Empty(), None, _no_archive)

    def _local(self, source: Layers) -> Files | None:
        if len(source) != 1:
            return None
        vertex = self._graph.vertices[source[0]]
        return self._files(vertex) if isinstance(vertex, Context | Inline | Http) else None

    def _mounted(self, source: Layers, path: str, inputs: Mapping[VertexId, str]) -> str:
        """What a bind mount shows: the content of a context's files, the key of a stage."""
        local = self._local(source)
        if local is None:
            return _keys(source, inputs)
        whole = Copy(base=(), parts=(CopyPart(source=source, path=path),), destination="/mount")
        return self._selected(whole, inputs)

    def _copy(self, vertex: Copy, inputs: Mapping[VertexId, Result], uploads: Uploads) -> Layer:
        sources = [self._source(part.source, inputs) for part in vertex.parts]
        accounts = StageFiles(self.filesystems, _stack(vertex.accounts, inputs)) if vertex.accounts else None
        owner = files.owner(vertex.owner, accounts)
        arranged = self._arrange(vertex, sources, self._base(vertex.base, inputs), owner)
        return self._pack(arranged, vertex.epoch, _question(vertex, (), None), uploads)

    def _arrange(
        self, vertex: Copy, sources: Sequence[Files], base: placing.Lookup, owner: tuple[int, int] | None
    ) -> copying.Arrangement:
        """What a copy holds on `base`: mostly what it holds on another that looks the same where it goes."""
        if any(part.unpack for part in vertex.parts):
            return copying.arrange(vertex, sources, base, owner, self._archive)
        # The sources are told apart as objects: a context is one for all platforms, a stage is another on each.
        known = self._arranged.setdefault(_question(vertex, sources, owner), [])
        found = next((arranged for arranged in known if arranged.lies_alike_on(base)), None)
        if found is None:
            found = copying.arrange(vertex, sources, base, owner, self._archive)
            known.append(found)
        return found

    def _make_directory(self, vertex: MakeDirectory, inputs: Mapping[VertexId, Result]) -> Layer:
        base = self._base(vertex.base, inputs)
        owner = files.owner(vertex.owner, base if isinstance(base, StageFiles) else None)
        return self._pack(copying.make_directory(vertex.path, owner, base, vertex.epoch), vertex.epoch)

    def _base(self, base: Layers, inputs: Mapping[VertexId, Result]) -> placing.Lookup:
        return StageFiles(self.filesystems, _stack(base, inputs)) if base else placing.Empty()

    def _source(self, source: Layers, inputs: Mapping[VertexId, Result]) -> Files:
        if len(source) == 1 and not isinstance(found := inputs[source[0]], tuple):
            return found
        return StageFiles(self.filesystems, _stack(source, inputs))

    def _mount_source(self, source: VertexId, inputs: Mapping[VertexId, Result]) -> Sequence[Layer] | Path:
        vertex: Vertex = self._graph.vertices[source]
        if isinstance(vertex, Context):
            return self._shown(source, self._contexts[vertex.name])
        found = inputs[source]
        assert isinstance(found, tuple)
        return found

    def _shown(self, source: VertexId, context: ContextFiles) -> Path:
        """The directory that a process sees of a context: itself where that is right, else a copy."""
        if context.plain:
            return context.root
        whole = Copy(base=(), parts=(CopyPart(source=(source,), path="/"),), destination="/")
        arranged = copying.arrange(whole, [context.files], placing.Empty(), None, _no_archive)
        return unpacked(arranged, self._site.store)

    def _archive(self, source: Files, path: str) -> Archive | None:
        followed = placing.resolve(source, path)
        entry = source.entry(followed)
        if entry is None or entry.kind != "file":
            return None
        key = source.fingerprint(followed)
        spool = self._site.scratch / f"archive-{hashlib.sha256(os.fsencode(key)).hexdigest()}-{threading.get_ident()}"
        return open_archive(source.content(followed), spool, key, self._site.store.largest_layer)

    def _pack(
        self, arranged: copying.Arrangement, epoch: int | None, same: str = "", uploads: Uploads = no_upload
    ) -> Layer:
        """The layer of an arrangement, made once for all platforms, and in no later build either.

        `same` names what is likely to be much as it was when a layer was last made for it.
        """
        key = f"{arranged.fingerprint(times=False)}-{epoch}-{self._site.compression.tag()}"
        with self._lock:
            flight = self._flights.setdefault(key, threading.Lock())
        with flight:
            known = None if self._site.no_cache and key not in self._selections else self._cached(key)
            if known is not None:
                return known
            cache, compression = self._site.store.cache, self._site.compression
            last = f"{same} {compression.tag()}"
            like = layer.remembered(self._site.store, _LAST, last) if same else None
            contents, workers = arranged.contents(), self._site.workers
            packed = layer.pack(self._site.store, contents, compression, workers, like, uploads)
            made = msgspec.structs.replace(packed, created=self._site.created)
            cache.put(_RESULT, key, layer.encode(made))
            if same:
                cache.put(_LAST, last, layer.encode(made))
            self._selections[key] = "packed in this run"
            return made


class _Stoppable:
    """A reader that ends with the build that it is for: whoever interrupts one need not wait for a large base."""

    def __init__(self, reader: BlobReader, stopped: Callable[[], bool]) -> None:
        self._reader = reader
        self._stopped = stopped
        self.close = reader.close

    def read(self, size: int = -1, /) -> bytes:
        """As of `place.Readable`."""
        if self._stopped():
            raise PolyarchError("cancelled")
        return self._reader.read(size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _question(vertex: Copy, sources: Sequence[Files], owner: tuple[int, int] | None) -> str:
    """What a copy asks for, whatever its base and whoever is asked."""
    bare = msgspec.structs.replace(vertex, base=(), accounts=(), parts=(), owner=str(owner or ""))
    parts = [(part.path, part.pattern, part.unpack) for part in vertex.parts]
    return f"{coding.to_json((bare, parts))!r} {[id(source) for source in sources]}"


def _keys(vertices: Layers, inputs: Mapping[VertexId, str]) -> str:
    return " ".join(inputs[vertex] for vertex in vertices)


def _stack(vertices: Layers, inputs: Mapping[VertexId, Result]) -> tuple[Layer, ...]:
    """The layers of a stage, lowest first."""
    stack: list[Layer] = []
    for vertex in vertices:
        found = inputs[vertex]
        assert isinstance(found, tuple), vertex
        stack.extend(found)
    return tuple(stack)


def _no_archive(source: Files, path: str) -> None:
    """For keys: an archive's content says all of what it unpacks to."""
