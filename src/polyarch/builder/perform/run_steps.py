"""The RUN steps of a build: each is done in the sandbox of this machine, or sent to another one."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from polyarch import progress
from polyarch.builder.perform.environment import OngoingBuild
from polyarch.builder.perform.runner import Runners
from polyarch.builder.solve import Outside
from polyarch.builder.vertices import RunCommand, VertexId
from polyarch.contents.layer import Layer
from polyarch.contents.stack import Stack
from polyarch.errors import UnsupportedError
from polyarch.oci.platform import Platform
from polyarch.sandbox.settings import RunSettings

if TYPE_CHECKING:
    from polyarch.builder.remote import StepReport


class RunSteps:
    """Does the RUN steps of one build. It owns the sandbox, until `close`; safe from many threads."""

    def __init__(self, build: OngoingBuild) -> None:
        self._build = build
        self._here = Runners(build)
        # Why steps cannot run on this machine.
        self._unable: UnsupportedError | None = None
        self._elsewhere = None
        if build.environment.remote is not None:
            from polyarch.builder.perform.remote_steps import RemoteSteps

            self._elsewhere = RemoteSteps(build.environment.remote, build)

    def begin(self, platforms: Iterable[Platform], run: RunSettings) -> None:
        """Prepare steps for these platforms, before it is known which there are."""
        if self._elsewhere is None:
            self._here.begin(platforms, run)

    def enter(self, steps: Iterable[RunCommand], *, required: bool) -> None:
        """Enter the user namespace, in which these steps will be done. A machine that cannot run steps can have them
        done elsewhere. Raises UnsupportedError if entering fails, and it is `required` or all steps are done here.
        """
        from polyarch.sandbox import enter

        if self._elsewhere is None:
            self._here.expect(steps)
        try:
            for warning in enter(self._build.environment.settings.search_path).warnings:
                self._build.emit(progress.Warned(warning))
        except UnsupportedError as error:
            if self._elsewhere is None or required:
                raise
            self._unable = error
        else:
            self._build.environment.common.once("reclaimed", self._build.environment.store.maintenance.reclaim)

    def open(self, steps: Iterable[VertexId], key: Callable[[VertexId], str], fresh: Collection[VertexId]) -> None:
        """Called before anything runs, with the steps that will, their cache keys, and those for which no earlier
        result is used. Raises what `RemoteRunner.open` raises.
        """
        if self._elsewhere is None:
            return
        from polyarch.builder.perform.remote_steps import PendingRun

        found = ((step, self._build.graph.vertices[step]) for step in steps)
        self._elsewhere.open(
            PendingRun(step, vertex, key(step), step in fresh)
            for step, vertex in found
            if isinstance(vertex, RunCommand)
        )

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
        """The layer of a step with this cache key. If `fresh`, an earlier result is not used, although it stays.

        Raises BuildError with the last output of the process if it fails.
        """
        if self._elsewhere is not None and self._elsewhere.runs_elsewhere(vertex):
            return self._elsewhere.run(vertex_id, vertex, key, base, sources, outside, fresh=fresh)
        if self._unable is not None:
            raise self._unable
        # Of two results with the same key, the store keeps the first.
        snapshot = f"{key}-{os.urandom(6).hex()}" if fresh else key
        return self._here.runner(outside).run(vertex_id, vertex, snapshot, base, sources)

    def report(self, vertex: VertexId) -> "StepReport | None":
        """Where another machine did a step; None if it was done here, or not at all."""
        return None if self._elsewhere is None else self._elsewhere.reports.get(vertex)

    def cancel(self) -> None:
        """End the processes that run, here and elsewhere."""
        self._here.cancel()
        if self._elsewhere is not None:
            self._elsewhere.cancel()

    def close(self) -> None:
        """Undo the mounts of the sandbox."""
        self._here.close()
