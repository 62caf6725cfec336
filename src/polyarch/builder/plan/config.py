"""The instructions that change only the image's config. Each is a function from state to state, without a vertex."""

from collections.abc import Callable
from typing import Any

import msgspec

from polyarch.builder.plan import gostrings
from polyarch.builder.plan.state import StageState
from polyarch.dockerfile.instructions import config as syntax
from polyarch.dockerfile.instructions.base import Instruction
from polyarch.dockerfile.instructions.healthcheck import Healthcheck
from polyarch.dockerfile.instructions.ports import ports as port_names
from polyarch.errors import UsageError


def default_shell(state: StageState) -> tuple[str, ...]:
    """The arguments before a command in shell form."""
    return tuple(state.config.run.get("Shell") or ("/bin/sh", "-c"))


def env(state: StageState, instruction: syntax.Env) -> StageState:
    """ENV."""
    variables = {pair.key: pair.value for pair in instruction.pairs}
    text = "".join(f" {pair.key}={pair.value}" for pair in instruction.pairs)
    state = state.grown("Env", variables).recorded(f"ENV{text}")
    return msgspec.structs.replace(state, env=state.env.updated(variables))


def label(state: StageState, instruction: syntax.Label) -> StageState:
    """LABEL."""
    labels = {pair.key: pair.value for pair in instruction.pairs}
    text = "".join(f" {pair.key}={pair.value}" for pair in instruction.pairs)
    return state.grown("Labels", labels).recorded(f"LABEL{text}")


def cmd(state: StageState, instruction: syntax.Cmd) -> StageState:
    """CMD."""
    argv = command_line(state, instruction)
    # An empty list is left out, as Go's omitempty does.
    state = state.configured(Cmd=list(argv) or None, ArgsEscaped=True)
    return msgspec.structs.replace(state, cmd_set=True).recorded(f"CMD {gostrings.quoted_list(argv)}")


def entrypoint(state: StageState, instruction: syntax.Entrypoint) -> StageState:
    """ENTRYPOINT. It resets a CMD that is not of this stage, because that was for another entrypoint."""
    argv = command_line(state, instruction)
    state = state.configured(Entrypoint=list(argv) or None)
    if not state.cmd_set:
        state = state.configured(Cmd=None)
    return state.recorded(f"ENTRYPOINT {gostrings.quoted_list(argv)}")


def command_line(state: StageState, instruction: syntax.Cmd | syntax.Entrypoint) -> tuple[str, ...]:
    """The argument vector of a CMD or ENTRYPOINT for the config."""
    if instruction.form == "exec":
        return instruction.arguments
    return (*default_shell(state), " ".join(instruction.arguments))


def user(state: StageState, instruction: syntax.User) -> StageState:
    """USER."""
    return state.configured(User=instruction.user or None).recorded(f"USER {instruction.user}")


def expose(state: StageState, instruction: syntax.Expose) -> StageState:
    """EXPOSE."""
    ports = port_names(instruction.specifications)
    exposed: dict[str, object] = {port: {} for port in ports}
    return state.grown("ExposedPorts", exposed).recorded(f"EXPOSE {gostrings.plain_list(ports)}")


def volume(state: StageState, instruction: syntax.Volume) -> StageState:
    """VOLUME."""
    if "" in instruction.paths:
        raise UsageError("VOLUME specified can not be an empty string")
    volumes: dict[str, object] = {path: {} for path in instruction.paths}
    text = f"VOLUME {gostrings.plain_list(instruction.paths)}"
    return state.grown("Volumes", volumes).recorded(text)


def stop_signal(state: StageState, instruction: syntax.StopSignal) -> StageState:
    """STOPSIGNAL."""
    return state.configured(StopSignal=instruction.signal).recorded(f"STOPSIGNAL {instruction.signal}")


def shell(state: StageState, instruction: syntax.Shell) -> StageState:
    """SHELL."""
    text = f"SHELL {gostrings.plain_list(instruction.arguments)}"
    return state.configured(Shell=list(instruction.arguments)).recorded(text)


def healthcheck(state: StageState, instruction: Healthcheck) -> StageState:
    """HEALTHCHECK. Docker's config has durations in nanoseconds, and no fields that are zero.

    Its history entry is what Go's `%q` prints for that part of the config: the number of retries is a character.
    """
    fields = {
        "Test": list(instruction.test),
        "Interval": instruction.interval,
        "Timeout": instruction.timeout,
        "StartPeriod": instruction.start_period,
        "StartInterval": instruction.start_interval,
        "Retries": instruction.retries,
    }
    times = (instruction.interval, instruction.timeout, instruction.start_period, instruction.start_interval)
    fields_as_text = (
        gostrings.quoted_list(instruction.test),
        *(gostrings.quoted(gostrings.duration(time)) for time in times),
        gostrings.quoted_character(instruction.retries),
    )
    state = state.configured(Healthcheck={key: value for key, value in fields.items() if value})
    return state.recorded(f"HEALTHCHECK &{{{' '.join(fields_as_text)}}}")


def onbuild(state: StageState, instruction: syntax.Onbuild) -> StageState:
    """ONBUILD: kept in the config for builds from this image. It has no history entry."""
    return state.configured(OnBuild=[*(state.config.run.get("OnBuild") or ()), instruction.trigger])


def maintainer(state: StageState, instruction: syntax.Maintainer) -> StageState:
    """MAINTAINER."""
    state = msgspec.structs.replace(state, config=state.config.with_fields(author=instruction.maintainer))
    return state.recorded(f"MAINTAINER {instruction.maintainer}")


_RULES: dict[type[Instruction], Callable[[StageState, Any], StageState]] = {
    syntax.Env: env,
    syntax.Label: label,
    syntax.Cmd: cmd,
    syntax.Entrypoint: entrypoint,
    syntax.User: user,
    syntax.Expose: expose,
    syntax.Volume: volume,
    syntax.StopSignal: stop_signal,
    syntax.Shell: shell,
    Healthcheck: healthcheck,
    syntax.Onbuild: onbuild,
    syntax.Maintainer: maintainer,
}


def configure(state: StageState, instruction: Instruction) -> StageState:
    """The state after an instruction of this file."""
    return _RULES[type(instruction)](state, instruction)
