"""Completion in shells: images, platforms, stages, files and directories, by what the parameter of a command takes.

A parameter says what it takes by its metavar (`PLATFORM[,...]`, `STAGE`, `DIR`), which the help shows, too.
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    _resolve_context,
    _resolve_incomplete,
)

from polyarch.errors import PolyarchError

VARIABLE = "_POLYARCH_COMPLETE"
_DIRECTORIES = re.compile(r"DIR(ECTORY)?\b|^LAYOUT$")
_FILES = re.compile(r"FILE|PATH|ARCHIVE|^KEY$")
_PLATFORMS = re.compile(r"\[?PLATFORM")
_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' reply type value
    reply=$(COMP_TEXT="${COMP_LINE:0:COMP_POINT}" COMP_BREAKS=$COMP_WORDBREAKS \
        %(complete_var)s=bash_complete %(command)s)
    for value in $reply; do
        type=${value%%%%,*}
        value=${value#*,}
        case $type in
            dir) COMPREPLY=(); compopt -o dirnames ;;
            file) COMPREPLY=(); compopt -o default ;;
            part) compopt -o nospace; COMPREPLY+=("$value") ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


def script(shell: str, program: click.Command, name: str, command: str) -> str:
    """The script for a shell that completes the words of `name`, a program or an alias, by asking `command`."""
    complete = _CLASSES[shell](program, {}, name, VARIABLE)
    text = complete.source_template % {**complete.source_vars(), "command": command}
    # click's templates ask the program whose words they complete.
    asked = f"{VARIABLE}={shell}_complete "
    text = re.sub(rf"({asked}|COMP_CWORD=\(commandline -t\) ){re.escape(name)}\b", rf"\g<1>{command}", text)
    return text.replace(f"$+commands[{name}]", f"$+commands[{command}]")


def answer(instruction: str, program: click.Command, variables: Mapping[str, str]) -> str:
    """What the shell that sent `instruction` (as in `bash_complete`) can add to its line."""
    complete_class = _CLASSES.get(instruction.partition("_")[0])
    if complete_class is None:
        return ""
    return complete_class(program, {"obj": variables}, "polyarch", VARIABLE).complete()


class _ByMetavar(ShellComplete):
    """Completes values that click knows nothing of."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        context = _resolve_context(self.cli, self.ctx_args, self.prog_name, args)
        what, incomplete = _resolve_incomplete(context, args, incomplete)
        found = what.shell_complete(context, incomplete)
        if found or not isinstance(what, click.Parameter):
            return found
        return [*_values(context, what, incomplete)]


def _values(context: click.Context, parameter: click.Parameter, incomplete: str) -> "Iterable[CompletionItem[Any]]":
    metavar = parameter.metavar or ""
    if _PLATFORMS.match(metavar):
        return map(CompletionItem, _platforms(incomplete))
    if metavar == "STAGE":
        return [CompletionItem(name) for name in _stages(context) if name.startswith(incomplete)]
    if _FILES.search(metavar):
        return [CompletionItem(incomplete, type="file")]
    if _DIRECTORIES.search(metavar):
        return [CompletionItem(incomplete, type="dir")]
    return ()


def _platforms(incomplete: str) -> list[str]:
    """Platforms that Polyarch can build for, after those that stand before the last comma."""
    from polyarch.sandbox.emulation import COMMON

    before, comma, begun = incomplete.rpartition(",")
    given = before.split(",")
    return [f"{before}{comma}{name}" for name in COMMON.split(",") if name.startswith(begun) and name not in given]


def _stages(context: click.Context) -> list[str]:
    """The names of the stages in the Dockerfile of the command; empty if it cannot be read."""
    from polyarch.dockerfile.instructions.stages import From
    from polyarch.dockerfile.parser import parse

    words = context.params
    file = words.get("file") or f"{words.get('context') or '.'}/Dockerfile"
    try:
        instructions = parse(Path(file).read_text("utf-8", "surrogateescape")).instructions
    except (PolyarchError, OSError):
        return []
    return [step.name for step in instructions if isinstance(step, From) and step.name]


class _Bash(_ByMetavar, BashComplete):
    source_template = _BASH

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._kept = 0

    def get_completion_args(self) -> tuple[list[str], str]:
        variables: Mapping[str, str] = self.ctx_args.get("obj") or {}
        words, begun = _split(variables.get("COMP_TEXT", ""))
        # What a shell replaces begins behind the last of these, usually a colon or an equals sign. What click completes
        # begins behind the name of an option.
        value = begun.partition("=")[2] if begun.startswith("--") else begun
        breaks = set(variables.get("COMP_BREAKS", "")) - {" ", "\t", "\n"}
        self._kept = max((value.rfind(mark) for mark in breaks), default=-1) + 1
        return words[1:], begun

    def format_completion(self, item: CompletionItem[Any]) -> str:
        value = item.value
        if item.type != "plain":
            return f"{item.type},{value}"
        kind = "part" if value.endswith("=") else "plain"
        return f"{kind},{value[self._kept :]}"


def _split(line: str) -> tuple[list[str], str]:
    """The whole words of a line, and the word that its end is in (empty after a blank)."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=False)
    reader.whitespace_split, reader.commenters = True, ""
    words: list[str] = []
    try:
        words.extend(reader)
    except ValueError:
        # An open quotation, or a backslash at the end: the rest is the last word.
        words.append(reader.token)
        return words[:-1], words[-1]
    if not words or line[-1:].isspace():
        return words, ""
    return words[:-1], words[-1]


class _Zsh(_ByMetavar, ZshComplete):
    pass


class _Fish(_ByMetavar, FishComplete):
    pass


_CLASSES: Mapping[str, type[ShellComplete]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}
