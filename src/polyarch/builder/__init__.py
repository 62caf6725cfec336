"""Dockerfile → image: a plan that is pure, a solver that knows no containers, and who does each kind of work."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyarch.builder.assemble import Image
    from polyarch.builder.perform.running import Secrets
    from polyarch.builder.pipeline import BuildResult, build
    from polyarch.builder.plan.options import PlanOptions
    from polyarch.builder.request import BuildRequest, Export, Output, Sources, read_sources

_HOMES = {
    "BuildRequest": "request",
    "BuildResult": "pipeline",
    "Export": "request",
    "Image": "assemble",
    "Output": "request",
    "PlanOptions": "plan.options",
    "Secrets": "perform.running",
    "Sources": "request",
    "build": "pipeline",
    "read_sources": "request",
}

__all__ = [
    "BuildRequest",
    "BuildResult",
    "Export",
    "Image",
    "Output",
    "PlanOptions",
    "Secrets",
    "Sources",
    "build",
    "read_sources",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
