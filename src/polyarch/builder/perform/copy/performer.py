"""COPY, ADD and WORKDIR for one build: the key of each, and its layer.

The parts: `selection` names what a copy takes, for its key. `layers` makes the layer: `arrange` works out what it holds
on a base, and `arrangements` finds that again for other platforms; `packing` makes the blob; `notes` are its warnings.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from polyarch import progress
from polyarch.builder.export.streaming import Uploads
from polyarch.builder.perform.copy.arrangements import ArrangementCache
from polyarch.builder.perform.copy.packing import LayerPacker
from polyarch.builder.perform.copy.selection import SelectionCache, copy_id
from polyarch.builder.perform.environment import Result, StepEnvironment, key_of
from polyarch.builder.perform.sources import CopySources
from polyarch.builder.vertices import NOTHING, BuildGraph, CopyFiles, CopyPart, MakeDirectory, VertexId
from polyarch.contents.filesystem import Filesystems
from polyarch.contents.layer import Layer

# Imported where it is used: a cached build makes no layer.
if TYPE_CHECKING:
    from polyarch.builder.perform.copy.arrange import Arrangement
    from polyarch.builder.perform.copy.layers import CopyLayers


class CopyPerformer:
    """Names and makes the layers of one build that hold files and need no process; safe from many threads. It owns
    nothing.
    """

    def __init__(
        self,
        graph: BuildGraph,
        environment: StepEnvironment,
        sources: CopySources,
        filesystems: Filesystems,
        emit: progress.Emit,
    ) -> None:
        self._environment = environment
        self._sources = sources
        self._filesystems = filesystems
        self._emit = emit
        self._arrangements = ArrangementCache()
        self._selections = SelectionCache(graph, sources, environment.store, self._arrangements)
        self._packer = LayerPacker(environment.store, environment.results, environment.settings)
        # Set once the build may pack ahead.
        self._ahead: Uploads | None = None

    # ── for keys

    def allow_packing_ahead(self, uploads: Uploads) -> None:
        """From now on, pack new files when they are read for their keys: one read serves both.

        For builds in which nothing runs. Only layers of the result are packed ahead; `uploads` is for these.
        """
        self._ahead = uploads

    def selected(self, vertex: CopyFiles, inputs: Mapping[VertexId, str], *, of_result: bool = False) -> str:
        """A name for the files of a copy: by content for local files, by cache key for stages. `of_result` says that
        its layer will be needed as a blob. Called from one thread.
        """
        return self._selections.select(vertex, inputs, self._pack_ahead if of_result else None).name

    def mounted(self, source: VertexId, path: str, inputs: Mapping[VertexId, str]) -> str:
        """A name for what a bind mount shows: the content of a context's files, or the key of a stage."""
        if self._sources.local(source) is None:
            return key_of(source, inputs)
        whole = CopyFiles(base=NOTHING, parts=(CopyPart(source=source, path=path),), destination="/mount")
        return self.selected(whole, inputs)

    def details(self, name: str) -> tuple[str, Callable[[], Mapping[str, str]]] | None:
        """The name of a selection of local files, and a function that returns the digest of each file."""
        files = self._selections.files(name)
        return None if files is None else (name, files)

    def _pack_ahead(self, vertex: CopyFiles, arrangement: "Arrangement") -> None:
        """Pack what a copy holds on an empty base, if it is likely to hold the same on its own.

        If the base turns out to have something at the destination, the layer reuses the blocks of this one.
        """
        if self._ahead is None or vertex.owner or any(part.unpack for part in vertex.parts):
            return
        series = copy_id(vertex)
        if not self._packer.has_last(series):
            with progress.reported(self._emit, f"read {series}", "[internal] reading the build context"):
                self._packer.pack(arrangement, vertex.epoch, series, self._ahead)

    def is_current(self, name: str) -> bool:
        """Whether the files that were copied are those of the selection of this name."""
        return self._selections.is_current(name)

    # ── for layers

    def copy(self, vertex: CopyFiles, inputs: Mapping[VertexId, Result], uploads: Uploads) -> Layer:
        """The layer of a COPY or ADD, with its warnings as notes."""
        return self._layers().copy(vertex, inputs, uploads)

    def make_directory(self, vertex: MakeDirectory, inputs: Mapping[VertexId, Result]) -> Layer:
        """The layer of a WORKDIR, with its warnings as notes."""
        return self._layers().make_directory(vertex, inputs)

    def _layers(self) -> "CopyLayers":
        from polyarch.builder.perform.copy.layers import CopyLayers

        return CopyLayers(self._environment, self._sources, self._filesystems, self._arrangements, self._packer)
