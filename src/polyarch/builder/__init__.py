"""Dockerfile → image: a pure plan, a solver that knows nothing of containers, and performers for each kind of work."""

from typing import TYPE_CHECKING

from polyarch import lazy

if TYPE_CHECKING:
    from polyarch.builder.export.assemble import BuiltImage as BuiltImage
    from polyarch.builder.failures import Failure as Failure
    from polyarch.builder.forecast.alone import dry_run as dry_run
    from polyarch.builder.history.record import BuildRecord as BuildRecord
    from polyarch.builder.history.record import StepRecord as StepRecord
    from polyarch.builder.history.recorder import BuildHistory as BuildHistory
    from polyarch.builder.lint import Checked as Checked
    from polyarch.builder.lint import check as check
    from polyarch.builder.pipeline import build as build
    from polyarch.builder.plan.options import PlanOptions as PlanOptions
    from polyarch.builder.request.input import (
        BuildInput as BuildInput,
    )
    from polyarch.builder.request.input import (
        ContextSource as ContextSource,
    )
    from polyarch.builder.request.input import (
        DirectoryContext as DirectoryContext,
    )
    from polyarch.builder.request.input import (
        ImageContext as ImageContext,
    )
    from polyarch.builder.request.input import (
        LayoutContext as LayoutContext,
    )
    from polyarch.builder.request.input import (
        MainContext as MainContext,
    )
    from polyarch.builder.request.input import (
        RemoteContext as RemoteContext,
    )
    from polyarch.builder.request.input import (
        StreamContext as StreamContext,
    )
    from polyarch.builder.request.output import Export as Export
    from polyarch.builder.request.output import Output as Output
    from polyarch.builder.request.request import (
        BuildRequest as BuildRequest,
    )
    from polyarch.builder.request.request import (
        CacheOptions as CacheOptions,
    )
    from polyarch.builder.request.request import (
        HostSettings as HostSettings,
    )
    from polyarch.builder.request.request import (
        Override as Override,
    )
    from polyarch.builder.request.secrets import Secrets as Secrets
    from polyarch.builder.result import BuildResult as BuildResult
    from polyarch.builder.subrequests import outline as outline
    from polyarch.builder.subrequests import targets as targets
    from polyarch.dockerfile.outline import Outline as Outline
    from polyarch.dockerfile.outline import TargetStage as TargetStage
else:
    __getattr__, __all__ = lazy.exports(
        __name__,
        {
            "export.assemble": "BuiltImage",
            "failures": "Failure",
            "history.record": "BuildRecord StepRecord",
            "history.recorder": "BuildHistory",
            "lint": "Checked check",
            "forecast.alone": "dry_run",
            "pipeline": "build",
            "plan.options": "PlanOptions",
            "request.input": "BuildInput ContextSource DirectoryContext ImageContext LayoutContext MainContext "
            "RemoteContext StreamContext",
            "request.output": "Export Output",
            "request.request": "BuildRequest CacheOptions HostSettings Override",
            "request.secrets": "Secrets",
            "result": "BuildResult",
            "subrequests": "outline targets Outline TargetStage",
        },
    )
