"""Runs a case here, in this process, and with docker compose."""

import contextlib
import io
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from polyarch.cli.errors import ErrorPrinter
from polyarch.cli.execute import _run, _status
from tests.compose.cases import ComposeCase

_ENVIRONMENT = {"HOME": "/home/someone", "PATH": "/usr/bin:/bin", "NO_COLOR": "1"}
_HERE, _ABOVE = "@HERE@", "@ABOVE@"
_OF_COMPOSE = frozenset({"-f", "--env-file", "-p", "--profile", "--project-directory"})


def prepare(case: ComposeCase, directory: Path) -> Path:
    """Write the files of a case. The directory's name is that of the project."""
    directory = directory / "proj"
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in case.files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def _words(case: ComposeCase, form: str) -> list[str]:
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


def ours(case: ComposeCase, directory: Path, form: str) -> tuple[str | None, str]:
    """What the command prints, None if it fails; and what it says on standard error."""
    directory = prepare(case, directory)
    variables: Mapping[str, str] = {**_ENVIRONMENT, "POLYARCH_ROOT": str(directory / ".store"), **case.env}
    raw, said = io.BytesIO(), io.StringIO()
    out = io.TextIOWrapper(raw, "utf-8")
    before = os.getcwd()
    os.chdir(directory)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
            errors = ErrorPrinter(debug=False, colour=False)
            status = _status(lambda: _run(["compose", *_words(case, form)], variables, errors), errors)
    finally:
        os.chdir(before)
    out.flush()
    return (_placed(raw.getvalue().decode(), directory) if status == 0 else None), said.getvalue()


def _placed(text: str, directory: Path) -> str:
    """An answer without the place of the files, the version, and the order of targets, which is random in Go."""
    text = re.sub(r'(compose.version": ").*?"', r'\1V"', text)
    listed = re.search(r'"targets": \[\n(.*?)\n +\]', text, re.DOTALL)
    if listed:
        ordered = ",\n".join(sorted(line.rstrip(",") for line in listed[1].split("\n")))
        text = text.replace(listed[1], ordered, 1)
    return text.replace(str(directory), _HERE).replace(str(directory.parent), _ABOVE)


def theirs(case: ComposeCase, directory: Path, form: str, program: Path) -> tuple[str | None, str]:
    """The same of docker compose."""
    directory = prepare(case, directory)
    done = subprocess.run(
        [str(program), *_words(case, form)],
        cwd=directory,
        env={**_ENVIRONMENT, "HOME": "/home/someone", **case.env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    text = _placed(done.stdout.decode(errors="surrogateescape"), directory)
    return (text if done.returncode == 0 else None), done.stderr.decode(errors="replace")
