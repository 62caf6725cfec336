"""Parsing a Dockerfile into instructions."""

from collections.abc import Callable, Mapping
from functools import lru_cache

import msgspec

from polyarch.dockerfile import directives, lines, suggest, syntax
from polyarch.dockerfile.instructions import config, copying, healthcheck, running, stages
from polyarch.dockerfile.instructions.base import Instruction
from polyarch.dockerfile.source import DockerfileError, Location
from polyarch.dockerfile.syntax import SyntaxNode

_PARSERS: Mapping[str, Callable[[SyntaxNode], Instruction]] = {
    "add": copying.parse_add,
    "arg": stages.parse_arg,
    "cmd": config.parse_cmd,
    "copy": copying.parse_copy,
    "entrypoint": config.parse_entrypoint,
    "env": config.parse_env,
    "expose": config.parse_expose,
    "from": stages.parse_from,
    "healthcheck": healthcheck.parse_healthcheck,
    "label": config.parse_label,
    "maintainer": config.parse_maintainer,
    "onbuild": config.parse_onbuild,
    "run": running.parse_run,
    "shell": config.parse_shell,
    "stopsignal": config.parse_stop_signal,
    "user": config.parse_user,
    "volume": config.parse_volume,
    "workdir": config.parse_workdir,
}


class Dockerfile(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed text. `syntax` and `check` are the values of the directives, or empty."""

    name: str
    text: str
    escape: str
    syntax: str
    check: str
    instructions: tuple[Instruction, ...]
    empty_continuations: tuple[Location, ...] = ()

    def error(self, reason: str, *locations: Location, hint: str | None = None) -> DockerfileError:
        """Return an error about this file that shows these lines."""
        return DockerfileError(reason, hint, name=self.name, text=self.text, locations=locations)

    def placed(self, error: DockerfileError, location: Location) -> DockerfileError:
        """Return `error` with this file and `location`, unless it has a location already."""
        return error.placed(self.name, self.text, location)

    def setting(self, variable: str, before: int) -> list[Location]:
        """Return the locations of the ENV and ARG instructions above line `before` that set `variable`."""
        above = (instruction for instruction in self.instructions if instruction.location.first < before)
        return [instruction.location for instruction in above if variable in _names(instruction)]


def _names(instruction: Instruction) -> list[str]:
    if isinstance(instruction, config.Env):
        return [pair.key for pair in instruction.pairs]
    return [name for name, _ in instruction.pairs] if isinstance(instruction, stages.Arg) else []


# Many targets of a bake file have the same Dockerfile.
@lru_cache(maxsize=32)
def parse(text: str, name: str = "Dockerfile") -> Dockerfile:
    """Return the instructions of a Dockerfile, in order. Errors call the file `name`.

    Raises DockerfileError for a syntax error. `stages.cut` checks whether the instructions make sense together.
    """
    try:
        logical = lines.read(text)
        instructions = tuple(_instruction(node) for node in logical.nodes)
    except DockerfileError as error:
        raise DockerfileError(
            error.reason, error.hint, name=name, text=text, locations=error.locations
        ) from error.__cause__
    return Dockerfile(
        name=name,
        text=text,
        escape=logical.escape,
        syntax=directives.find(text, "syntax"),
        check=directives.find(text, "check"),
        instructions=instructions,
        empty_continuations=logical.empty_continuations,
    )


def parse_trigger(trigger: str, name: str = "ONBUILD trigger") -> Instruction:
    """Return the instruction of an ONBUILD trigger. The directives of its original file do not apply.

    Raises DockerfileError if it is not exactly one instruction, or one that a trigger cannot be.
    """
    dockerfile = parse(trigger, name)
    if len(dockerfile.instructions) != 1:
        raise dockerfile.error("onbuild trigger should be a single expression")
    (instruction,) = dockerfile.instructions
    if isinstance(instruction, config.Onbuild):
        raise dockerfile.error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", instruction.location)
    if isinstance(instruction, stages.From | config.Maintainer):
        keyword = instruction.keyword.upper()
        raise dockerfile.error(f"{keyword} isn't allowed as an ONBUILD trigger", instruction.location)
    return instruction


def _instruction(node: SyntaxNode) -> Instruction:
    parser = _PARSERS.get(node.keyword.lower())
    try:
        if parser is None:
            names = [keyword.upper() for keyword in syntax.KEYWORDS]
            raise suggest.unknown(f"unknown instruction: {node.keyword}", node.keyword, names, case=False)
        return parser(node)
    except DockerfileError as error:
        raise DockerfileError(error.reason, error.hint, locations=(node.location,)) from error
