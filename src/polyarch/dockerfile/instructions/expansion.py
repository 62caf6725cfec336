"""Expands an instruction: which fields do is the rule of its family, and what is not listed here has none."""

from collections.abc import Callable
from typing import Any, TypeVar

from polyarch.dockerfile.instructions import config, copying, running, stages
from polyarch.dockerfile.instructions.base import Env, Instruction
from polyarch.dockerfile.instructions.expander import Expander

I = TypeVar("I", bound=Instruction)  # noqa: E741

# FROM is expanded by the planner, with other names; RUN only in its mounts; CMD, ENTRYPOINT, SHELL, HEALTHCHECK,
# ONBUILD and MAINTAINER not at all.
_EXPANDERS: dict[type[Instruction], Callable[[Any, Expander], Instruction]] = {
    stages.Arg: stages.expand_arg,
    copying.Copy: copying.expand_copy,
    copying.Add: copying.expand_add,
    running.Run: running.expand_run,
    config.Env: config.expand_env,
    config.Label: config.expand_label,
    config.Workdir: config.expand_workdir,
    config.User: config.expand_user,
    config.Expose: config.expand_expose,
    config.Volume: config.expand_volume,
    config.StopSignal: config.expand_stop_signal,
}


def expand(instruction: I, env: Env, escape: str = "\\") -> tuple[I, tuple[str, ...]]:
    """The instruction with the variables of `env` in place, and the names that were used and are not in it.

    `env` is what stood before the instruction: all fields see the same. Raises DockerfileError without a place, to
    which `Dockerfile.placed` gives the instruction's.
    """
    expander = _EXPANDERS.get(type(instruction))
    if expander is None:
        return instruction, ()
    words = Expander(env, escape)
    expanded = expander(instruction, words)
    assert isinstance(expanded, type(instruction))
    return expanded, words.unmatched
