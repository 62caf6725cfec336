"""Docker's options of a build, turned into a `BuildRequest`: for the command line, bake, compose and Python programs.

Nothing here reads the environment, the clock or the working directory: the caller gives them (`Surroundings`).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyarch.buildflags.options import OPTIONS, BuildOptions, Surroundings, request

__all__ = ["OPTIONS", "BuildOptions", "Surroundings", "request"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("polyarch.buildflags.options"), name)
