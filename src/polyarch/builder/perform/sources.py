"""What copies and mounts take files from, but for stages: contexts, heredocs, downloads, each opened once."""

import threading
from pathlib import Path

from polyarch.builder.contexts.local import LocalContext as ContextFiles
from polyarch.builder.contexts.local import unpacked
from polyarch.builder.perform.copy import arrange, placement
from polyarch.builder.perform.copy.arrange import no_archive
from polyarch.builder.perform.copy.files import SourceFiles, inline
from polyarch.builder.perform.environment import StepEnvironment
from polyarch.builder.plan import remote
from polyarch.builder.vertices import NOTHING, BuildGraph, Context, CopyFiles, CopyPart, Http, Inline, VertexId


class CopySources:
    """Opens the sources of one build; safe from many threads. `close` writes down the stats of its contexts."""

    def __init__(self, graph: BuildGraph, site: StepEnvironment) -> None:
        self._graph = graph
        self._site = site
        self._lock = threading.Lock()
        self._contexts: dict[str, ContextFiles] = {}

    def close(self) -> None:
        """Remember the stats of contexts for the next build."""
        for context in self._contexts.values():
            context.remember()

    def files(self, vertex: Context | Inline | Http) -> SourceFiles:
        """What is copied from such a vertex."""
        if isinstance(vertex, Inline):
            return inline(vertex.files, vertex.epoch or 0)
        if isinstance(vertex, Http):
            downloads = self._site.downloads
            return downloads.files(downloads.fetch(vertex.url, vertex.checksum), remote.file_name(vertex.url))
        context = self.context(vertex)
        with self._lock:
            return context.files

    def context(self, vertex: Context) -> ContextFiles:
        """The build context of a vertex, walked when somebody asks for a file of it."""
        with self._lock:
            if vertex.name not in self._contexts:
                self._contexts[vertex.name] = self._site.contexts(vertex.name)
            return self._contexts[vertex.name]

    def local(self, source: VertexId) -> SourceFiles | None:
        """The files of a source that is of this machine and no stage; None for one that is."""
        if not source:
            return None
        vertex = self._graph.vertices[source]
        return self.files(vertex) if isinstance(vertex, Context | Inline | Http) else None

    def shown(self, source: VertexId, vertex: Context) -> Path:
        """The directory that a process sees of a context: itself where that is right, else a copy."""
        context = self.context(vertex)
        if context.plain:
            return context.root
        whole = CopyFiles(base=NOTHING, parts=(CopyPart(source=source, path="/"),), destination="/")
        arranged = arrange.arrange(whole, [context.files], placement.Empty(), None, no_archive)
        return unpacked(arranged, self._site.store)
