"""The layers of copies and directories, arranged on the stages below them and packed."""

import os
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from polyarch.builder.export.streaming import Uploads
from polyarch.builder.perform.copy import accounts, arrange, notes, placement
from polyarch.builder.perform.copy.arrange import Arrangement
from polyarch.builder.perform.copy.arrangements import ArrangementCache
from polyarch.builder.perform.copy.entry_table import Lookup
from polyarch.builder.perform.copy.files import SourceFiles, StageFiles
from polyarch.builder.perform.copy.packing import LayerPacker
from polyarch.builder.perform.copy.selection import copy_id
from polyarch.builder.perform.environment import Result, StepEnvironment, stack_of
from polyarch.builder.perform.sources import CopySources
from polyarch.builder.vertices import CopyFiles, MakeDirectory, VertexId
from polyarch.contents.filesystem import Filesystems
from polyarch.contents.layer import Layer
from polyarch.contents.stack import Stack
from polyarch.oci import digest as digests

if TYPE_CHECKING:
    from polyarch.builder.perform.copy.archives import AddedArchive


class CopyLayers:
    """Makes the layers of one build that hold files and need no process; safe from many threads. It owns nothing.

    A cached build does not import this file, nor what it imports.
    """

    def __init__(
        self,
        environment: StepEnvironment,
        sources: CopySources,
        filesystems: Filesystems,
        arrangements: ArrangementCache,
        packer: LayerPacker,
    ) -> None:
        self._environment = environment
        self._sources = sources
        self._filesystems = filesystems
        self._arrangements = arrangements
        self._packer = packer

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
