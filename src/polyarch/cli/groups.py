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
_CONTAINERS = (
    "there is no daemon that keeps containers: 'polyarch run' runs one in the foreground; for others use podman, or "
    "docker after 'polyarch save NAME | docker load'"
)
_BUILDERS = "there are no builders to manage: 'polyarch build' builds directly, for every platform"
_SWARM = "there is no daemon that could be a member of a swarm"
_DAEMON = "there is no daemon"
_DOCKER_COMMANDS = {
    **{("", name): _SWARM for name in "config node secret service stack swarm".split()},
    **{("", name): f"{_DAEMON}, and so nothing to watch" for name in ("events", "stats", "top")},
    ("", "checkpoint"): _CONTAINERS,
    (
        "",
        "commit",
    ): "a container leaves nothing: write a Dockerfile, or import a root filesystem with 'polyarch import'",
    ("", "context"): f"{_DAEMON} to choose: --root and POLYARCH_ROOT choose the store",
    ("", "bud"): "'polyarch build' builds a Dockerfile",
    ("", "from"): "a container leaves nothing: write a Dockerfile, and 'polyarch build' builds it",
    ("", "info"): f"{_DAEMON} to ask: 'polyarch doctor' shows what this machine can do, 'polyarch system df' the store",
    ("", "network"): f"{_DAEMON} that keeps networks: 'polyarch run' chooses the network of one container",
    ("", "plugin"): f"{_DAEMON} that has plugins",
    ("", "scout"): "there is no database of vulnerabilities: 'polyarch sbom' lists packages for a scanner",
    ("", "search"): "registries have no search in common; Docker Hub's page has one",
    ("", "trust"): "images are signed with 'polyarch sign', and verified with 'polyarch verify'",
    **{
        ("", name): _CONTAINERS
        for name in "attach exec kill logs pause port rename restart start stop unpause update wait".split()
    },
    **{
        ("container", name): _CONTAINERS
        for name in "attach exec kill logs pause port rename restart start stats stop top unpause update wait".split()
    },
    ("container", "commit"): "a container leaves nothing: write a Dockerfile",
    ("container", "diff"): "a container leaves nothing: 'polyarch diff' compares images",
    ("container", "inspect"): "there is nothing to inspect but the image: 'polyarch inspect IMAGE'",
    **{("network", name): f"{_DAEMON} that keeps networks" for name in "connect create disconnect inspect rm".split()},
    **{("buildx", name): _BUILDERS for name in "create rm stop use".split()},
    **{
        ("compose", name): _CONTAINERS
        for name in "create down exec kill logs ps restart rm run start stop top up watch".split()
    },
    ("history", "logs"): "the output of steps is not kept: 'buildx history inspect' shows what a build did",
    ("history", "trace"): "no trace is recorded: 'explain --html' draws a time line of the last build of an image",
    **{("history", name): "there is no Docker Desktop that shows builds" for name in ("open", "import")},
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
        return name if command else None, command, plain_options(command, args[1:]) if command else args[1:]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.BadOptionUsage as error:
            # click's parser does not say of which command the option is.
            name = ctx.invoked_subcommand
            if error.ctx is None and name and (command := self.get_command(ctx, name)):
                error.ctx = click.Context(command, parent=ctx, info_name=name)
            raise

    def _unknown(self, ctx: click.Context, name: str) -> UsageError:
        from difflib import get_close_matches

        names = self.list_commands(ctx)
        close = get_close_matches(name, names, n=3)
        if reason := self.reason(ctx, name):
            hint = reason
        elif close:
            hint = f"did you mean {' or '.join(f'{ctx.command_path} {match}' for match in close)}?"
        else:
            hint = f"'{ctx.command_path} --help' lists the commands"
        return UsageError(f"unknown command: {ctx.command_path} {name}", hint)

    def reason(self, ctx: click.Context, name: str) -> str | None:
        """Why this command of docker does not exist here; None if docker has none of that name."""
        return _DOCKER_COMMANDS.get(((ctx.info_name or "") if ctx.parent else "", name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        longest = max(len(name) for name, _, _ in self.entries())
        for title, section in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:{longest}}", summary) for name, (_, summary) in section.items()])


class LenientCommand(click.Command):
    """A command. Options in `absent_if_empty` that are given an empty value are as good as left out.

    buildx does so, and CI passes variables that are not set.
    """

    absent_if_empty: frozenset[str] = frozenset()


# The values of Go's strconv.ParseBool, which docker's flags accept.
_BOOLEANS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}


def plain_options(command: click.Command, words: list[str]) -> list[str]:
    """Rewrite options for click: docker's `--pull=false` as the flag, its opposite, or nothing; `-t`, `-t=` as `--tag`.

    For each short option click first looks for long ones with a similar name, which takes 3 ms.
    """
    options = {
        name: option
        for option in command.params
        if isinstance(option, click.Option)
        for name in (*option.opts, *option.secondary_opts)
    }
    omissible = command.absent_if_empty if isinstance(command, LenientCommand) else frozenset()
    interspersed = command.context_settings.get("allow_interspersed_args", command.allow_interspersed_args)
    result: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        if word == "--" or not (word.startswith("-") or interspersed):
            break
        name, equals, value = word.partition("=")
        option = options.get(name)
        values = 0 if option is None or equals or option.is_flag or option.count else option.nargs
        following = words[position + 1 : position + 1 + values]
        position += 1 + len(following)
        given = [value] if equals else following
        if option is not None and given == [""] and not omissible.isdisjoint(option.opts):
            continue
        if option is None or len(following) < values:
            result += [word, *following]
        elif equals and len(name) == 2 and not option.is_flag:
            # docker's parser (pflag) takes the sign in `-t=NAME` for no part of the value, click does.
            result += [_long(option, name), value]
        elif equals:
            result += _plain_flag(option, word, _BOOLEANS.get(value.lower()) if name in option.opts else None)
        else:
            result += [_long(option, name), *following]
    return result + words[position:]


def _plain_flag(option: click.Option, word: str, enabled: bool | None) -> list[str]:
    if enabled is None or not (option.is_flag and option.is_bool_flag):
        return [word]
    return [word.partition("=")[0]] if enabled else option.secondary_opts[:1]


def _long(option: click.Option, name: str) -> str:
    if name.startswith("--") or name not in option.opts:
        return name
    return next((other for other in option.opts if other.startswith("--")), name)


def load(target: str) -> click.Command:
    """The command that `target`, `module:attribute`, names. Modules are in cli/commands, or begin with `cli.`."""
    module, _, attribute = target.partition(":")
    place = f"polyarch.{module}" if module.startswith("cli.") else f"polyarch.cli.commands.{module}"
    command = getattr(importlib.import_module(place), attribute)
    assert isinstance(command, click.Command)
    return command
