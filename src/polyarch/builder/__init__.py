"""Dockerfile → image: a plan that is pure, a solver that knows no containers, and who does each kind of work."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyarch.builder.assemble import Image
    from polyarch.builder.checking import Checked, check, outline, targets
    from polyarch.builder.contexts import Fetcher, Opened, fetcher
    from polyarch.builder.perform.secrets import Secrets
    from polyarch.builder.pipeline import BuildResult, build, outlook
    from polyarch.builder.plan.options import PlanOptions
    from polyarch.builder.record import Record, Step
    from polyarch.builder.recorder import Archive
    from polyarch.builder.request import (
        BuildRequest,
        Export,
        Named,
        Output,
        Override,
        Sources,
        named_contexts,
        read_sources,
    )
    from polyarch.builder.survival import Failure
    from polyarch.dockerfile.outline import Outline
    from polyarch.dockerfile.outline import Target as TargetStage

_HOMES = {
    "Archive": "recorder",
    "BuildRequest": "request",
    "BuildResult": "pipeline",
    "Checked": "checking",
    "Export": "request",
    "Failure": "survival",
    "Fetcher": "contexts",
    "Image": "assemble",
    "Named": "request",
    "Opened": "contexts",
    "Outline": "checking",
    "Output": "request",
    "Override": "request",
    "PlanOptions": "plan.options",
    "Record": "record",
    "Secrets": "perform.secrets",
    "Sources": "request",
    "Step": "record",
    "TargetStage": "checking",
    "build": "pipeline",
    "check": "checking",
    "fetcher": "contexts",
    "named_contexts": "request",
    "outline": "checking",
    "outlook": "pipeline",
    "read_sources": "request",
    "targets": "checking",
}

__all__ = [
    "Archive",
    "BuildRequest",
    "BuildResult",
    "Checked",
    "Export",
    "Failure",
    "Fetcher",
    "Image",
    "Named",
    "Opened",
    "Outline",
    "Output",
    "Override",
    "PlanOptions",
    "Record",
    "Secrets",
    "Sources",
    "Step",
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
