"""Dockerfile → image: a plan that is pure, a solver that knows no containers, and who does each kind of work."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyarch.builder.export.assemble import BuiltImage
    from polyarch.builder.failures import Failure
    from polyarch.builder.history.record import BuildRecord, StepRecord
    from polyarch.builder.history.recorder import BuildHistory
    from polyarch.builder.lint import Checked, check
    from polyarch.builder.pipeline import BuildResult, build, dry_run
    from polyarch.builder.plan.options import PlanOptions
    from polyarch.builder.request.input import (
        BuildInput,
        ContextSource,
        DirectoryContext,
        ImageContext,
        LayoutContext,
        MainContext,
        RemoteContext,
        StreamContext,
    )
    from polyarch.builder.request.output import Export, Output
    from polyarch.builder.request.request import BuildRequest, CacheOptions, HostSettings, Override
    from polyarch.builder.request.secrets import Secrets
    from polyarch.builder.subrequests import outline, targets
    from polyarch.dockerfile.outline import Outline, TargetStage

_HOMES = {
    "BuildInput": "request.input",
    "ContextSource": "request.input",
    "MainContext": "request.input",
    "StreamContext": "request.input",
    "DirectoryContext": "request.input",
    "ImageContext": "request.input",
    "LayoutContext": "request.input",
    "RemoteContext": "request.input",
    "CacheOptions": "request.request",
    "HostSettings": "request.request",
    "BuildHistory": "history.recorder",
    "BuildRequest": "request.request",
    "BuildResult": "pipeline",
    "Checked": "lint",
    "Export": "request.output",
    "Failure": "failures",
    "BuiltImage": "export.assemble",
    "Outline": "subrequests",
    "Output": "request.output",
    "Override": "request.request",
    "PlanOptions": "plan.options",
    "BuildRecord": "history.record",
    "Secrets": "request.secrets",
    "StepRecord": "history.record",
    "TargetStage": "subrequests",
    "build": "pipeline",
    "check": "lint",
    "outline": "subrequests",
    "dry_run": "pipeline",
    "targets": "subrequests",
}

__all__ = [
    "BuildHistory",
    "BuildInput",
    "BuildRecord",
    "BuildRequest",
    "BuildResult",
    "BuiltImage",
    "CacheOptions",
    "Checked",
    "ContextSource",
    "DirectoryContext",
    "Export",
    "Failure",
    "HostSettings",
    "ImageContext",
    "LayoutContext",
    "MainContext",
    "Outline",
    "Output",
    "Override",
    "PlanOptions",
    "RemoteContext",
    "Secrets",
    "StepRecord",
    "StreamContext",
    "TargetStage",
    "build",
    "check",
    "dry_run",
    "outline",
    "targets",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
