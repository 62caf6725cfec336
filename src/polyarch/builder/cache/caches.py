"""The caches of one build: that of its store, and those of `--cache-from` and `--cache-to`.

What is outside of the store is imported only if a build has it, because most builds do not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from polyarch import progress
from polyarch.builder.cache.results import LocalResults
from polyarch.builder.perform.environment import Result
from polyarch.builder.plan.planner import Plan
from polyarch.builder.request.request import BuildRequest
from polyarch.builder.vertices import BuildGraph, VertexId

if TYPE_CHECKING:
    from polyarch.builder.cache.remote import RemoteResults
    from polyarch.builder.export.assemble import Assembler, BuiltImage
    from polyarch.builder.workspace import Workspace
    from polyarch.contents.layer import Layer

KeyOf = Callable[[VertexId], str]


class BuildCaches:
    """Owns what it opens for `results`, until `close`."""

    def __init__(self, workspace: "Workspace", request: BuildRequest, graph: BuildGraph) -> None:
        self._workspace = workspace
        self._request = request
        self._graph = graph
        self._key_of: KeyOf = str
        self._done: Mapping[VertexId, Result] = {}
        self.results: LocalResults | RemoteResults = LocalResults(workspace.store)
        if request.cache.inline and request.export.docker_format:
            note = "the image gets no inline cache, because Docker's format of manifests has no annotations"
            workspace.emit(progress.Warned(note))
        if request.cache.sources:
            from polyarch.builder.cache import outside

            self.results = outside.results(workspace, request)

    def solved(self, key_of: KeyOf, done: Mapping[VertexId, Result]) -> None:
        """Note the keys and the results of the build's steps."""
        self._key_of = key_of
        self._done = done

    def keys(self, plan: Plan) -> tuple[str, ...]:
        """The key of the step that made each layer of an image with an inline cache; nothing for other images."""
        if not self._request.cache.inline:
            return ()
        from polyarch.builder.cache import outside

        return outside.keys(plan, self._graph, self._key_of, self._done)

    def send(
        self, assembler: "Assembler", built: "Iterable[tuple[Plan, Sequence[Layer]]]", images: "Sequence[BuiltImage]"
    ) -> None:
        """Send what was built to every `--cache-to`: the plans with their layers, the images. Raises PolyarchError."""
        if not self._request.cache.targets:
            return
        from polyarch.builder.cache import outside

        exported = [image.layers if image.config else () for image in images]
        whole = [(plan, stack, layers) for (plan, stack), layers in zip(built, exported, strict=True)]
        outside.send(self._workspace, self._request, assembler, self._graph, whole, self._key_of, self._done)

    def close(self) -> None:
        """Close the caches outside of the store."""
        self.results.close()
