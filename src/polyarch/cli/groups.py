"""Command groups that import the module of a command only when it is used."""

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import click

from polyarch.errors import UsageError

# Section title → command name → (module and attribute, summary for the help).
Sections = Mapping[str, Mapping[str, tuple[str, str]]]

SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

# Commands of docker that Polyarch does not have, by group and name, with the reason.
_CONTAINERS = "there is no daemon that keeps containers: 'polyarch run' runs one in the foreground and removes it"
_BUILDERS = "there are no builders to manage: 'polyarch build' builds directly, for every platform"
_DOCKER_COMMANDS = {
    **{
        f"polyarch {name}": _CONTAINERS
        for name in "attach container cp create exec kill logs ps restart rm start stop wait".split()
    },
    **{f"buildx {name}": _BUILDERS for name in "create rm stop use".split()},
}


class LazyGroup(click.Group):
    """A group with a table of its commands. The help needs only the table."""

    def __init__(self, *arguments: Any, sections: Sections, **settings: Any) -> None:
        settings.setdefault("context_settings", SETTINGS)
        settings.setdefault("subcommand_metavar", "COMMAND")
        settings.setdefault("options_metavar", "[OPTIONS]")
        super().__init__(*arguments, **settings)
        self.sections = sections

    def entries(self) -> Iterator[tuple[str, str, str]]:
        """Every command: its name, its target (see `load`) and its summary."""
        for section in self.sections.values():
            for name, (target, summary) in section.items():
                yield name, target, summary

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, _, _ in self.entries()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for name, target, _ in self.entries():
            if name == cmd_name:
                return load(target)
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None and not ctx.resilient_parsing:
            raise self._unknown(ctx, name)
        return name if command else None, command, _plain_flags(command, args[1:]) if command else args[1:]

    def _unknown(self, ctx: click.Context, name: str) -> UsageError:
        from difflib import get_close_matches

        names = self.list_commands(ctx)
        close = get_close_matches(name, names, n=3)
        if reason := _DOCKER_COMMANDS.get(f"{ctx.info_name} {name}"):
            hint = reason
        elif close:
            hint = f"did you mean {' or '.join(f'{ctx.command_path} {match}' for match in close)}?"
        else:
            hint = f"'{ctx.command_path} --help' lists the commands"
        return UsageError(f"unknown command: {ctx.command_path} {name}", hint)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        longest = max(len(name) for name, _, _ in self.entries())
        for title, section in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:{longest}}", summary) for name, (_, summary) in section.items()])


# The values of Go's strconv.ParseBool, which docker's flags accept.
_BOOLEANS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}


def _plain_flags(command: click.Command, words: list[str]) -> list[str]:
    """Rewrite docker's `--pull=false` for click: as the flag, its opposite, or nothing."""
    flags = {
        name: option
        for option in command.params
        if isinstance(option, click.Option) and option.is_flag and option.is_bool_flag
        for name in option.opts
    }
    result: list[str] = []
    for position, word in enumerate(words):
        if word == "--" or not (word.startswith("-") or command.context_settings.get("allow_interspersed_args", True)):
            return result + words[position:]
        name, equals, value = word.partition("=")
        enabled = _BOOLEANS.get(value.lower()) if equals and name in flags else None
        if enabled is None:
            result.append(word)
        elif enabled:
            result.append(name)
        else:
            result += flags[name].secondary_opts[:1]
    return result


def load(target: str) -> click.Command:
    """The command that `target`, `module:attribute`, names. The module is one of cli/commands."""
    module, _, attribute = target.partition(":")
    command = getattr(importlib.import_module(f"polyarch.cli.commands.{module}"), attribute)
    assert isinstance(command, click.Command)
    return command
