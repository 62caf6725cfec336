"""Runs a case here, in this process, and with docker compose."""

import re
from pathlib import Path

from tests.answers import RecordedCase, run_here, run_there, write_files

_HERE, _ABOVE = "@HERE@", "@ABOVE@"
# Go prints these in a random order.
_UNORDERED = frozenset({"--services", "--volumes", "--networks", "--models", "--images", "table"})
_OF_COMPOSE = frozenset({"-f", "--env-file", "-p", "--profile", "--project-directory"})


def _prepare(case: RecordedCase, directory: Path) -> Path:
    """Write the files of a case. The directory's name is that of the project."""
    directory = directory / "proj"
    write_files(case.files, directory)
    return directory


def _words(case: RecordedCase, form: str) -> list[str]:
    """The words: those of `compose` before the command, which is `config` or `build --print`, the others after it."""
    before, after, words = [], [], list(case.words)
    while words:
        word = words.pop(0)
        if word in _OF_COMPOSE:
            before += [word, words.pop(0)]
        elif word == "--all-resources":
            before.append(word)
        else:
            after.append(word)
    if after[:1] == ["build"]:
        return [*before, "build", "--print", *after[1:]]
    return [*before, "config", "--format", form, *after]


def ours(case: RecordedCase, directory: Path, form: str) -> tuple[str | None, str]:
    """What the command prints, None if it fails; and what it says on standard error."""
    directory = _prepare(case, directory)
    text, said = run_here(["compose", *_words(case, form)], directory, case.env)
    return (None if text is None else _placed(text, directory, case)), said


def _placed(text: str, directory: Path, case: RecordedCase) -> str:
    """An answer without the place of the files, the version, and what has a random order in Go."""
    if not _UNORDERED.isdisjoint(case.words):
        text = "".join(sorted(text.splitlines(keepends=True)))
    text = re.sub(r'(compose.version": ").*?"', r'\1V"', text)
    listed = re.search(r'"targets": \[\n(.*?)\n +\]', text, re.DOTALL)
    if listed:
        ordered = ",\n".join(sorted(line.rstrip(",") for line in listed[1].split("\n")))
        text = text.replace(listed[1], ordered, 1)
    return text.replace(str(directory), _HERE).replace(str(directory.parent), _ABOVE)


def theirs(case: RecordedCase, directory: Path, form: str, program: Path) -> tuple[str | None, str]:
    """The same of docker compose."""
    directory = _prepare(case, directory)
    text, said = run_there([str(program), *_words(case, form)], directory, case.env)
    return (None if text is None else _placed(text, directory, case)), said
