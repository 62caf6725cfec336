"""Command lines of pages and scripts: which they are, and whether Polyarch knows their words."""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click
from click.parser import _OptionParser

# Commands are functions that write down their words, each behind the number of words. All other programs are absent.
_RECORDING = r"""
command_not_found_handle() { :; }
record() { printf '%s\0' "$#" "$@" >> "$RECORD"; }
for name in docker podman polyarch; do eval "$name() { record $name \"\$@\"; }"; done
"""


def recorded(script: str, variables: Mapping[str, str]) -> list[list[str]]:
    """The words of each `docker`, `podman` and `polyarch` of a script of bash, which runs without doing anything."""
    with tempfile.TemporaryDirectory(prefix="polyarch-script-") as directory:
        record = Path(directory, "record")
        record.touch()
        env = {"PATH": os.devnull, "RECORD": str(record), **variables}
        subprocess.run(["/bin/bash", "-c", _RECORDING + script], cwd=directory, env=env, check=True, timeout=20)
        fields = record.read_text().split("\0")[:-1]
    found = []
    while fields:
        count = int(fields[0])
        found.append(fields[1 : count + 1])
        fields = fields[count + 1 :]
    return found


def mistake(program: click.Group, words: list[str]) -> str:
    """The command or flag that a command line does not have; empty where there is none.

    Values may be missing: `polyarch check --allow` names a flag.
    """
    context = click.Context(program, info_name=program.name)
    while True:
        command = context.command
        try:
            _, rest, _ = _parser(context).parse_args(list(words))
        except click.NoSuchOption as problem:
            return problem.option_name
        except click.BadOptionUsage:
            return ""
        if not isinstance(command, click.Group) or not rest:
            return ""
        if re.fullmatch(r"[a-z-]+", rest[0]) is None:
            return ""
        found = command.get_command(context, rest[0])
        if found is None:
            return rest[0]
        words = rest[1:]
        context = click.Context(found, info_name=context.info_name, parent=context, **found.context_settings)


def _parser(context: click.Context) -> _OptionParser:
    return context.command.make_parser(context)


def usage_error(program: click.Group, words: list[str]) -> str:
    """Why a whole command line is not accepted: as mistake(), and values that are missing, too many or wrong."""
    context = click.Context(program, info_name=program.name)
    command: click.Command = program
    try:
        while isinstance(command, click.Group):
            _, words, _ = _parser(context).parse_args(list(words))
            found = command.get_command(context, words[0]) if words else None
            if found is None:
                return f"{context.command_path}: no command {words[:1]}"
            command, words = found, words[1:]
            context = click.Context(found, info_name=found.name, parent=context, **found.context_settings)
        parent = context.parent
        command.make_context(command.name, list(words), parent=parent)
    except click.UsageError as problem:
        return problem.format_message()
    return ""
