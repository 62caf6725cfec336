"""The generated pages of docs/reference: written anew, or with --check compared with what is committed."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click

from scripts import generated
from scripts.python_page import python_api

_ROOT = Path(__file__).resolve().parent.parent
_DIRECTORY = Path("docs/reference")
_WIDTH = 100


def command_line() -> str:
    """docs/reference/cli.md: the help of every command, each once, with all the names that it has."""
    from polyarch.cli.commands.program import program

    contexts: dict[int, list[click.Context]] = {}
    for context in _walk(_context(program, "polyarch", None)):
        contexts.setdefault(id(context.command), []).append(context)
    page = ["# The command line", "", "Written by `make docs` from the commands themselves.", ""]
    sections = [sorted(same, key=lambda context: len(context.command_path.split())) for same in contexts.values()]
    for first, *others in sorted(sections, key=lambda section: section[0].command_path):
        page += _section(first, [other.command_path for other in others])
    return "\n".join(page).rstrip() + "\n"


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    settings = {**command.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH}
    return click.Context(command, info_name=name, parent=parent, **settings)


def _walk(context: click.Context) -> Iterator[click.Context]:
    """A command's context and those of all the commands below it."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None and not command.hidden:
                yield from _walk(_context(command, name, context))


def _section(context: click.Context, others: list[str]) -> list[str]:
    lines = [f"## {context.command_path}", ""]
    if others:
        lines += [f"Also {', '.join(f'`{other}`' for other in others)}.", ""]
    text = "\n".join(line.rstrip() for line in context.command.get_help(context).splitlines())
    return [*lines, "```text", text, "```", ""]


PAGES: Mapping[str, Callable[[], str]] = {"cli.md": command_line, "python.md": python_api}


def main(arguments: list[str]) -> int:
    # The help says where things are; the page must not depend on who writes it.
    for name in ("POLYARCH_ROOT", "XDG_DATA_HOME", "COLUMNS"):
        os.environ.pop(name, None)
    return generated.main(arguments, _ROOT, {_DIRECTORY / name: write() for name, write in PAGES.items()})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
