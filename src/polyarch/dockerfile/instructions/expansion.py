"""Expanding an instruction. Each family decides which fields expand; instructions that are not listed here do not."""

from collections.abc import Callable
from typing import Any, TypeVar

from polyarch.dockerfile.instructions import config, copying, running, stages
from polyarch.dockerfile.instructions.base import Env, Instruction
from polyarch.dockerfile.instructions.expander import Expander

I = TypeVar("I", bound=Instruction)  # noqa: E741

# The planner expands FROM, with other variables. Of RUN, only the mounts expand; CMD, ENTRYPOINT, SHELL, HEALTHCHECK,
# ONBUILD and MAINTAINER do not.
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
    """Return the instruction with its variables expanded, and the names of those that are not set.

    All fields are expanded with `env`, the environment before the instruction. Raises DockerfileError without a
    location, which `Dockerfile.placed` adds.
    """
    expander = _EXPANDERS.get(type(instruction))
    if expander is None:
        return instruction, ()
    words = Expander(env, escape)
    expanded = expander(instruction, words)
    assert isinstance(expanded, type(instruction))
    return expanded, words.unmatched
