"""The groups of docker: bare, they print their help; global options of buildx may stand behind a command, too."""

from typing import Any

import click

from polyarch.cli.docker import binfmt
from polyarch.cli.groups import LazyGroup
from polyarch.errors import UsageError

CHOSEN = "polyarch.builder"
_BUILDS = ("build", "b", "bake")
_NO_DAEMON = "Polyarch has no daemon"


class DockerGroup(LazyGroup):
    """A group of docker. Without a command it prints its help on standard output, and that is a success."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, no_args_is_help=False, **settings)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        if not ctx._protected_args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit()
        return rest

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        command = binfmt.command(str(name), rest) or command
        if command is not None and self.has_globals(str(name)):
            rest, builder = _without_globals(_leaf(ctx, command, rest), rest)
            # The session may not be open yet: the callback of the group reads this.
            ctx.meta[CHOSEN] = (builder or ctx.params.get("builder") or "", str(name) in _BUILDS)
        return name, command, rest

    def has_globals(self, name: str) -> bool:
        """Whether this command takes `--builder N` and `-D`: those of buildx do, and `docker build` is one."""
        return name in _BUILDS

    def _unknown(self, ctx: click.Context, name: str) -> UsageError:
        if reason := self.reason(ctx, name):
            # The last line is all that clients show.
            return UsageError(f"{ctx.command_path} {name} does not exist: {_NO_DAEMON} ({reason})")
        return super()._unknown(ctx, name)


class BuildxGroup(DockerGroup):
    """The group `buildx`, and docker's plugin: `--builder N` and `-D` stand before a command or anywhere behind it."""

    def has_globals(self, name: str) -> bool:
        return name != "buildx"


def _leaf(ctx: click.Context, command: click.Command, words: list[str]) -> click.Command:
    """The command that the words behind a group name."""
    while isinstance(command, click.Group) and words:
        found = command.get_command(ctx, words[0])
        if found is None:
            break
        command, words = found, words[1:]
    return command


def _without_globals(command: click.Command, words: list[str]) -> tuple[list[str], str]:
    """The words without `--builder N` and `--debug`, unless the command has these options itself, and the builder."""
    own = {name for parameter in command.params for name in parameter.opts}
    rest: list[str] = []
    builder = ""
    pending = iter(words)
    for word in pending:
        key, equals, value = word.partition("=")
        if word == "--":
            return [*rest, word, *pending], builder
        if key == "--builder":
            builder = value if equals else next(pending, "")
            rest += [f"{key}={builder}"] if key in own else []
        elif word not in ("-D", "--debug") or word in own:
            rest.append(word)
    return rest, builder
