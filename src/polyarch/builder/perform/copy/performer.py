"""COPY, ADD and WORKDIR for one build: the key of each, and its layer.

The parts: `selection` names what a copy takes, for its key; `arrange` works out what its layer holds on a base, and
`arrangements` finds that again for other platforms; `packing` makes the blob; `notes` are its warnings.
"""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.builder.export.streaming import Uploads
from polyarch.builder.perform.copy import accounts, arrange, notes, placement
from polyarch.builder.perform.copy.arrange import Arrangement
from polyarch.builder.perform.copy.arrangements import ArrangementCache
from polyarch.builder.perform.copy.entry_table import Lookup
from polyarch.builder.perform.copy.files import SourceFiles, StageFiles
from polyarch.builder.perform.copy.packing import LayerPacker
from polyarch.builder.perform.copy.selection import SelectionCache, copy_id
from polyarch.builder.perform.environment import Result, StepEnvironment, key_of, stack_of
from polyarch.builder.perform.sources import CopySources
from polyarch.builder.vertices import NOTHING, BuildGraph, CopyFiles, CopyPart, MakeDirectory, VertexId
from polyarch.contents.filesystem import Filesystems
from polyarch.contents.layer import Layer
from polyarch.contents.stack import Stack
from polyarch.oci import digest as digests

if TYPE_CHECKING:
    from polyarch.builder.perform.copy.archives import AddedArchive


class CopyPerformer:
    """Makes the layers of one build that hold files and need no process; safe from many threads. It owns nothing."""

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

    def _pack_ahead(self, vertex: CopyFiles, arrangement: Arrangement) -> None:
        """Pack what a copy holds on an empty base, if it is likely to hold the same on its own.

        If the base turns out to have something at the destination, the layer reuses the blocks of this one.
        """
        if self._ahead is None or vertex.owner or any(part.unpack for part in vertex.parts):
            return
        series = copy_id(vertex)
        if not self._packer.has_last(series):
            with progress.reported(self._emit, f"read {series}", "[internal] reading the build context"):
                self._packer.pack(arrangement, vertex.epoch, series, self._ahead)

    # ── for layers

    def copy(self, vertex: CopyFiles, inputs: Mapping[VertexId, Result], uploads: Uploads) -> Layer:
        """The layer of a COPY or ADD, with its warnings as notes."""
        sources = [self._source(part.source, inputs) for part in vertex.parts]
        owner = accounts.owner(vertex.owner, self._text_reader(vertex.accounts, inputs))
        ids = owner.ids if owner is not None else None
        arrangement = self._arrange(vertex, sources, self._base(vertex.base, inputs), ids)
        layer = self._packer.layer(arrangement, vertex.epoch, copy_id(vertex), uploads)
        found = notes.unknown_owner(owner, f"--chown={vertex.owner}")
        if arrangement.nothing:
            excluded = self._sources.excluded(vertex, [part.path for part in vertex.parts])
            found += (notes.nothing_copied(vertex, excluded),)
        if arrangement.unusable:
            found += (notes.unusable_directory(vertex, arrangement.unusable),)
        return msgspec.structs.replace(layer, notes=found)

    def make_directory(self, vertex: MakeDirectory, inputs: Mapping[VertexId, Result]) -> Layer:
        """The layer of a WORKDIR, with its warnings as notes."""
        owner = accounts.owner(vertex.owner, self._text_reader(vertex.base, inputs))
        ids = owner.ids if owner is not None else None
        arrangement = arrange.make_directory(vertex.path, ids, self._base(vertex.base, inputs), vertex.epoch)
        layer = self._packer.layer(arrangement, vertex.epoch)
        # A directory that exists keeps its owner, so an unknown name does not matter then.
        found = notes.unknown_owner(owner, f"USER {vertex.owner}") if arrangement.items else ()
        return msgspec.structs.replace(layer, notes=found)

    def _arrange(
        self, vertex: CopyFiles, sources: Sequence[SourceFiles], base: Lookup, owner: tuple[int, int] | None
    ) -> Arrangement:
        """The arrangement of a copy on `base`: often the same as on another base."""
        if any(part.unpack for part in vertex.parts):
            return arrange.arrange(vertex, sources, base, owner, self._open_archive)
        found = self._arrangements.find(vertex, sources, owner, base)
        if found is None:
            found = arrange.arrange(vertex, sources, base, owner, self._open_archive)
            self._arrangements.add(vertex, sources, owner, found)
        return found

    def _text_reader(self, stage: VertexId, inputs: Mapping[VertexId, Result]) -> accounts.ReadText:
        if not stage:
            return lambda _: None
        return StageFiles(self._filesystems, stack_of(stage, inputs)).text

    def _base(self, base: VertexId, inputs: Mapping[VertexId, Result]) -> Lookup:
        return StageFiles(self._filesystems, stack_of(base, inputs)) if base else placement.Empty()

    def _source(self, source: VertexId, inputs: Mapping[VertexId, Result]) -> SourceFiles:
        result = inputs[source] if source else None
        if result is None or isinstance(result, Stack):
            return StageFiles(self._filesystems, result)
        assert not isinstance(result, tuple), source
        return result

    def _open_archive(self, source: SourceFiles, path: str) -> "AddedArchive | None":
        followed = placement.resolve(source, path)
        entry = source.entry(followed)
        if entry is None or entry.kind != "file":
            return None
        from polyarch.builder.perform.copy.archives import open_archive

        key = source.fingerprint(followed)
        name = f"archive-{digests.sha256(os.fsencode(key))}-{threading.get_ident()}"
        environment = self._environment
        return open_archive(source.content(followed), environment.scratch / name, key, environment.store.largest_layer)
