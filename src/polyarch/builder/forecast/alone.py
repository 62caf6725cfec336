"""What one build would do, for `build --explain` and the Python client."""

from typing import TYPE_CHECKING

from polyarch import progress
from polyarch.builder import solve
from polyarch.builder.forecast import dry_run as foreseen
from polyarch.builder.history.record import BuildRecord
from polyarch.builder.history.recorder import BuildHistory, Recorder
from polyarch.builder.pipeline import Build
from polyarch.builder.request.request import BuildRequest
from polyarch.builder.workspace import Workspace

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.store import Store


def dry_run(request: BuildRequest, store: "Store", registry: "Registry") -> BuildRecord:
    """The steps that a build would do now, with the reasons why they are not cached. Nothing is built.

    Raises as `pipeline.build` does.
    """
    with Workspace(request, store, registry) as workspace, Build(workspace) as opened:
        work = opened.foreseen()
        try:
            seen = solve.examine(work.targets, work.performer, Recorder(work.graph, progress.ignore))
        except solve.FailedError as failed:
            vertex, error = next(iter(failed.errors.items()))
            raise work.located(vertex, error) from failed
        return foreseen.record(work, seen.results.keys(), frozenset(seen.pending), BuildHistory(store))
