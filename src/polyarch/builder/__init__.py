"""Dockerfile → image: a plan that is pure, a solver that knows no containers, and who does each kind of work."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyarch.builder.contexts.remote import Fetcher, OpenedContext, fetcher
    from polyarch.builder.export.assemble import BuiltImage
    from polyarch.builder.failures import Failure
    from polyarch.builder.history.record import BuildRecord, StepRecord
    from polyarch.builder.history.recorder import BuildHistory
    from polyarch.builder.lint import Checked, check, outline, targets
    from polyarch.builder.pipeline import BuildResult, build, outlook
    from polyarch.builder.plan.options import PlanOptions
    from polyarch.builder.request.request import (
        BuildRequest,
        Export,
        NamedContexts,
        Output,
        Override,
        Sources,
        named_contexts,
        read_sources,
    )
    from polyarch.builder.request.secrets import Secrets
    from polyarch.dockerfile.outline import Outline, TargetStage

_HOMES = {
    "BuildHistory": "history.recorder",
    "BuildRequest": "request.request",
    "BuildResult": "pipeline",
    "Checked": "lint",
    "Export": "request.request",
    "Failure": "failures",
    "Fetcher": "contexts.remote",
    "BuiltImage": "export.assemble",
    "NamedContexts": "request.request",
    "OpenedContext": "contexts.remote",
    "Outline": "lint",
    "Output": "request.request",
    "Override": "request.request",
    "PlanOptions": "plan.options",
    "BuildRecord": "history.record",
    "Secrets": "request.secrets",
    "Sources": "request.request",
    "StepRecord": "history.record",
    "TargetStage": "lint",
    "build": "pipeline",
    "check": "lint",
    "fetcher": "contexts.remote",
    "named_contexts": "request.request",
    "outline": "lint",
    "outlook": "pipeline",
    "read_sources": "request.request",
    "targets": "lint",
}

__all__ = [
    "BuildHistory",
    "BuildRecord",
    "BuildRequest",
    "BuildResult",
    "BuiltImage",
    "Checked",
    "Export",
    "Failure",
    "Fetcher",
    "NamedContexts",
    "OpenedContext",
    "Outline",
    "Output",
    "Override",
    "PlanOptions",
    "Secrets",
    "Sources",
    "StepRecord",
    "TargetStage",
    "build",
    "check",
    "fetcher",
    "named_contexts",
    "outline",
    "outlook",
    "read_sources",
    "targets",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
