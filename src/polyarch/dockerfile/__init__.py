"""The Dockerfile language: text → instructions, stages, words, ignore files, checks. No I/O.

`parse` a text, `cut` it into stages, `expand` each instruction with the environment before it. Names are loaded when
they are asked for; the instructions themselves are in `instructions.stages`, `.copying`, `.running`, `.config` and
`.healthcheck`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyarch.dockerfile.instructions.base import Instruction
    from polyarch.dockerfile.instructions.expansion import expand
    from polyarch.dockerfile.parser import Dockerfile, parse, parse_trigger
    from polyarch.dockerfile.source import DockerfileError, Location
    from polyarch.dockerfile.stages import Stage, Stages, automatic_args, cut, global_env

__all__ = [
    "Dockerfile",
    "DockerfileError",
    "Instruction",
    "Location",
    "Stage",
    "Stages",
    "automatic_args",
    "cut",
    "expand",
    "global_env",
    "parse",
    "parse_trigger",
]

_HOMES = {
    "Dockerfile": "parser",
    "DockerfileError": "source",
    "Instruction": "instructions.base",
    "Location": "source",
    "Stage": "stages",
    "Stages": "stages",
    "automatic_args": "stages",
    "cut": "stages",
    "expand": "instructions.expansion",
    "global_env": "stages",
    "parse": "parser",
    "parse_trigger": "parser",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
