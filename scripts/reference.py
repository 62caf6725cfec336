"""The generated pages of docs/reference: written anew, or with --check compared with what is committed."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click

from scripts.python_page import python_api

_DIRECTORY = Path(__file__).resolve().parent.parent / "docs" / "reference"
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
    check = arguments == ["--check"]
    # The help says where things are; the page must not depend on who writes it.
    for name in ("POLYARCH_ROOT", "XDG_DATA_HOME", "COLUMNS"):
        os.environ.pop(name, None)
    stale = []
    for name, write in PAGES.items():
        path, text = _DIRECTORY / name, write()
        if not path.exists() or path.read_text() != text:
            stale.append(path.relative_to(Path.cwd()))
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
                print(path)
    if check and stale:
        print(f"not what the code says: {', '.join(map(str, stale))}: run `make docs`", file=sys.stderr)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
