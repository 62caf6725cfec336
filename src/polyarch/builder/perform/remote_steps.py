"""RUN steps that another machine does: what is sent for a step, and what comes back.

A step travels as a `RemoteStep`, which names layers by digest. So a layer that was only unpacked here is packed, as for
an export, and what a bind mount shows of a build context becomes a layer of its own. The result has a blob and no
directory: what follows unpacks it only if a process here needs it.
"""

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.builder.cache import packed
from polyarch.builder.perform.environment import OngoingBuild
from polyarch.builder.remote import RemoteRunner, RemoteStep, StepReport, StepRequest, StepSecrets
from polyarch.builder.solve import Outside
from polyarch.builder.vertices import RunCommand, RunMount, Stacked, VertexId
from polyarch.contents.layer import Layer, LayerBlob
from polyarch.contents.stack import Stack, layers_of
from polyarch.errors import BuildError, CancelledError
from polyarch.layers.compression import Compression
from polyarch.layers.entry import Entry, Item, LocalFile

if TYPE_CHECKING:
    from polyarch.store import Store

# What a mount shows is read once by each member, and not kept in an image: it is made fast.
_COMPRESSION = Compression(kind="zstd", level=1)
_KINDS = ("directory", "file", "hardlink", "symlink", "fifo")
_KEPT_XATTRS = ("security.capability", "user.")
_LEFT_OUT_XATTRS = "user.overlay."
# How many steps a member gets ahead of their turn.
_AHEAD = 63


class PendingRun(msgspec.Struct, frozen=True):
    """A step that will run, its cache key, and whether no earlier result may be used."""

    id: VertexId
    vertex: RunCommand
    key: str
    fresh: bool


class RemoteSteps:
    """Sends the RUN steps of one build to `runner`. It owns nothing; safe from many threads.

    `reports` says where each step ran.
    """

    def __init__(self, runner: RemoteRunner, build: OngoingBuild) -> None:
        self._runner = runner
        self._build = build
        self._environment = build.environment
        self._cancelled = threading.Event()
        # The step on top of the layer of a vertex and the file system below that; the first of several.
        self._next: dict[tuple[VertexId, VertexId], PendingRun] = {}
        self.reports: dict[VertexId, StepReport] = {}

    def open(self, steps: Iterable[PendingRun]) -> None:
        """Called before anything runs, with the steps that will. Raises what `RemoteRunner.open` raises."""
        pending = tuple(steps)
        platforms = tuple(dict.fromkeys(step.vertex.platform for step in pending))
        if platforms:
            self._runner.open(platforms)
        for step in pending:
            base = self._build.graph.vertices.get(step.vertex.base)
            if isinstance(base, Stacked):
                self._next.setdefault((base.below, base.layers), step)

    def runs_elsewhere(self, vertex: RunCommand) -> bool:
        """Whether another machine does this step."""
        return self._runner.place(vertex.platform, vertex.settings) is not None

    def run(
        self,
        vertex_id: VertexId,
        vertex: RunCommand,
        key: str,
        base: Stack | None,
        sources: Mapping[VertexId, "Stack | Path | None"],
        outside: Outside,
        *,
        fresh: bool,
    ) -> Layer:
        """The layer with the changes of the process. Other work is done meanwhile. `key` is the cache key.

        Raises BuildError with the last output of the process if it fails, and if no machine could do it.
        """
        settings = self._environment.settings
        step = self._step(vertex, key, self._blobs(base), sources, fresh=fresh)
        self._runner.publish(step.blobs)

        def output(stream: int, data: bytes) -> None:
            self._build.emit(progress.OutputChunk(vertex_id, stream, data))

        def following() -> list[StepRequest]:
            return list(self._following(vertex_id, vertex, sources))

        with outside():
            request = StepRequest(step, self._secrets(vertex))
            result = self._runner.run(request, output, self._cancelled, following)
        report = self.reports[vertex_id] = result.report
        if report.member:
            took = "it had the result" if report.cached else f"{report.how}, {report.seconds:.1f}s"
            self._build.emit(progress.Transferred(vertex_id, f"on {report.member}:", 0, 0, took))
        if result.failure is not None:
            if result.failure.kind == "cancelled":
                raise CancelledError
            raise BuildError(result.failure.message, result.failure.hint or None)
        assert result.layer is not None, key
        return Layer(created=settings.created, diff_id=result.layer.diff_id, blob=result.layer.blob, notes=result.notes)

    def cancel(self) -> None:
        """End the processes that run."""
        self._cancelled.set()

    def _following(
        self, vertex_id: VertexId, vertex: RunCommand, sources: Mapping[VertexId, "Stack | Path | None"]
    ) -> Iterator[StepRequest]:
        """The steps that come right after a step, and need nothing else that is not there yet."""
        for _ in range(_AHEAD):
            after = self._next.get((vertex.base, vertex_id))
            if after is None or after.vertex.platform != vertex.platform or not self.runs_elsewhere(after.vertex):
                return
            wanted = {mount.source for mount in after.vertex.mounts if mount.source}
            if not wanted <= sources.keys():
                return
            shown = {source: sources[source] for source in wanted}
            step = self._step(after.vertex, after.key, (), shown, fresh=after.fresh)
            self._runner.publish(step.blobs)
            yield StepRequest(step, self._secrets(after.vertex))
            vertex_id, vertex = after.id, after.vertex

    def _step(
        self,
        vertex: RunCommand,
        key: str,
        layers: tuple[LayerBlob, ...],
        sources: Mapping[VertexId, "Stack | Path | None"],
        *,
        fresh: bool,
    ) -> RemoteStep:
        mounts: list[RunMount] = []
        shown: dict[VertexId, set[str]] = {}
        for mount in vertex.mounts:
            found = sources[mount.source] if mount.source else None
            if isinstance(found, Path):
                # Symbolic links on the way are followed here, where everything is: the member gets only this part.
                path = _inside(found, mount)
                shown.setdefault(mount.source, set()).add(path)
                mounts.append(msgspec.structs.replace(mount, path=f"/{path}"))
            else:
                mounts.append(mount)
        sent: list[tuple[VertexId, tuple[LayerBlob, ...]]] = []
        for source, found in sources.items():
            if isinstance(found, Path):
                sent.append((source, (self._directory(found, shown[source]),)))
            else:
                sent.append((source, self._blobs(found)))
        settings = self._environment.settings
        return RemoteStep(
            key=key,
            vertex=msgspec.structs.replace(vertex, mounts=tuple(mounts)),
            layers=layers,
            sources=tuple(sent),
            created=settings.created,
            epoch=settings.epoch,
            compression=settings.compression,
            shared=tuple(sorted(self._build.shared_caches & {mount.id for mount in vertex.mounts})),
            fresh=fresh,
        )

    def _blobs(self, stack: Stack | None) -> tuple[LayerBlob, ...]:
        return tuple(self._blob(layer) for layer in layers_of(stack))

    def _blob(self, layer: Layer) -> LayerBlob:
        """The layer as a blob, which is packed if there is only a directory."""
        if layer.blob is not None:
            return layer.as_blob()
        environment, compression = self._environment, self._environment.settings.compression
        with environment.common.alone(("pack", f"{layer.key} {compression.tag()}")):
            return packed.of_snapshot(
                environment.store,
                self._build.filesystems,
                layer,
                compression,
                environment.settings.workers,
                epoch=environment.settings.epoch,
                stopped=self._build.stopped,
            ).as_blob()

    def _directory(self, root: Path, paths: Collection[str]) -> LayerBlob:
        """What mounts show of a directory, as a layer; packed once for all steps that show the same."""
        wanted = tuple(sorted(paths))

        def make() -> LayerBlob:
            return packed_directory(self._environment.store, root, wanted, self._environment.settings.workers)

        return self._environment.common.once(("shown", root, wanted), make)

    def _secrets(self, vertex: RunCommand) -> StepSecrets:
        settings = self._environment.settings
        names = {mount.id for mount in vertex.mounts if mount.kind == "secret"}
        found = {name: settings.secrets.content(name, vertex.platform) for name in sorted(names)}
        agents = {mount.id or "default" for mount in vertex.mounts if mount.kind == "ssh"}
        return StepSecrets(
            secrets={name: content for name, content in found.items() if content is not None},
            proxies=settings.proxies,
            sockets={name: path for name, path in settings.secrets.sockets.items() if name in agents},
        )


def packed_directory(store: "Store", root: Path, paths: Collection[str], workers: int) -> LayerBlob:
    """A layer with the `paths` of a directory (all of it if one is ""), whose blob is in the store.

    Modes and owners are as a process of a step would see them here, and so are times, to the second. No name deletes
    files in a layer, because the cache key of the step could not be computed with one. Raises what walking and packing
    raise.
    """
    return packed.pack(store, _items(root, paths), _COMPRESSION, workers).as_blob()


def _items(root: Path, paths: Collection[str]) -> Iterator[Item]:
    from polyarch.layers.walk import walk

    def skip(path: str, _: bool) -> bool:
        return not any(
            not wanted or f"{path}/".startswith(f"{wanted}/") or wanted.startswith(f"{path}/") for wanted in paths
        )

    status = root.stat()
    yield Entry(path="", kind="directory", mode=status.st_mode & 0o7777, mtime=int(status.st_mtime)), None
    for walked in walk(str(root), skip, xattrs=True):
        entry = walked.entry
        if entry.kind not in _KINDS:
            continue
        if entry.xattrs:
            kept = tuple(
                pair
                for pair in entry.xattrs
                if pair[0].startswith(_KEPT_XATTRS) and not pair[0].startswith(_LEFT_OUT_XATTRS)
            )
            entry = msgspec.structs.replace(entry, xattrs=kept)
        yield entry, LocalFile(walked.path, walked.stamp) if entry.kind == "file" else None


def _inside(root: Path, mount: RunMount) -> str:
    """The path that a mount shows, below `root`, without symbolic links on the way. Raises NotFoundError."""
    from polyarch.builder.perform.run import inside

    return inside(str(root), mount.path)[len(str(root)) :].strip("/")
