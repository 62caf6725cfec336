"""The sources of copies and mounts that are not stages: contexts, heredocs and downloads, each opened once."""

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from polyarch.builder.contexts.local import LocalContext as ContextFiles
from polyarch.builder.contexts.local import unpacked
from polyarch.builder.perform.environment import StepEnvironment
from polyarch.builder.plan import remote
from polyarch.builder.vertices import NOTHING, BuildGraph, Context, CopyFiles, CopyPart, Http, Inline, VertexId

# Imported where it is used: a cached build copies nothing.
if TYPE_CHECKING:
    from polyarch.builder.perform.copy.files import SourceFiles


class CopySources:
    """Opens the sources of one build; safe from many threads. `close` stores the stats of its contexts."""

    def __init__(self, graph: BuildGraph, environment: StepEnvironment) -> None:
        self._graph = graph
        self._environment = environment
        self._lock = threading.Lock()
        self._contexts: dict[str, ContextFiles] = {}

    def close(self) -> None:
        """Store the stats of contexts for the next build."""
        for context in self._contexts.values():
            context.remember()

    def files(self, vertex: Context | Inline | Http) -> "SourceFiles":
        """The files of such a vertex."""
        if isinstance(vertex, Inline):
            from polyarch.builder.perform.copy.files import inline

            return inline(vertex.files, vertex.epoch or 0)
        if isinstance(vertex, Http):
            downloads = self._environment.remotes.downloads
            return downloads.files(downloads.fetch(vertex.url, vertex.checksum), remote.file_name(vertex.url))
        context = self.context(vertex)
        with self._lock:
            return context.files

    def context(self, vertex: Context) -> ContextFiles:
        """The build context of a vertex. It is walked when one of its files is first needed."""
        with self._lock:
            if vertex.name not in self._contexts:
                self._contexts[vertex.name] = self._environment.contexts.open(vertex.name)
            return self._contexts[vertex.name]

    def excluded(self, vertex: CopyFiles, paths: Iterable[str]) -> str:
        """A sentence about the first of `paths` that exists in a context of this copy but is excluded; "" for none."""
        sources = {part.source for part in vertex.parts if part.source}
        contexts = [value for source in sources if isinstance(value := self._graph.vertices[source], Context)]
        for context in contexts:
            for path in paths:
                hidden = self.context(context).hidden(path)
                if hidden is not None:
                    return f"; {hidden[0]} exists, but .dockerignore excludes it (pattern {hidden[1]})"
        return ""

    def local(self, source: VertexId) -> "SourceFiles | None":
        """The files of a source; None for a stage."""
        if not source:
            return None
        vertex = self._graph.vertices[source]
        return self.files(vertex) if isinstance(vertex, Context | Inline | Http) else None

    def shown(self, source: VertexId, vertex: Context) -> Path:
        """A directory that shows a context to a process: the context itself if possible, else a copy."""
        context = self.context(vertex)
        if context.plain:
            return context.root
        from polyarch.builder.perform.copy import arrange, placement

        whole = CopyFiles(base=NOTHING, parts=(CopyPart(source=source, path="/"),), destination="/")
        arranged = arrange.arrange(whole, [context.files], placement.Empty(), None, arrange.no_archive)
        return unpacked(arranged, self._environment.store)
