"""Runs a case here, in this process, and with buildx."""

import contextlib
import io
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from polyarch.cli.errors import ErrorPrinter
from polyarch.cli.execute import _run, _status
from tests.bake.cases import BakeCase

# Both see the same variables besides those of the case.
_ENVIRONMENT = {"HOME": "/home/someone", "PATH": "/usr/bin:/bin", "NO_COLOR": "1"}


def prepare(case: BakeCase, directory: Path) -> None:
    """Write the files of a case."""
    directory.mkdir(exist_ok=True)
    for name, text in case.files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def _words(case: BakeCase) -> list[str]:
    shown = any(word.startswith(("--print", "--list")) for word in case.words)
    return [*case.words] if shown else ["--print", *case.words]


def ours(case: BakeCase, directory: Path) -> tuple[str | None, str]:
    """What the command prints, None if it fails; and what it says on standard error."""
    prepare(case, directory)
    variables: Mapping[str, str] = {**_ENVIRONMENT, "POLYARCH_ROOT": str(directory / ".store"), **case.env}
    raw, said = io.BytesIO(), io.StringIO()
    out = io.TextIOWrapper(raw, "utf-8")
    before = os.getcwd()
    os.chdir(directory)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
            errors = ErrorPrinter(debug=False, colour=False)
            status = _status(lambda: _run(["bake", *_words(case)], variables, errors), errors)
    finally:
        os.chdir(before)
    out.flush()
    text = raw.getvalue().decode(errors="surrogateescape")
    return (text if status == 0 else None), said.getvalue()


def theirs(case: BakeCase, directory: Path, buildx: Path) -> tuple[str | None, str]:
    """The same of buildx."""
    prepare(case, directory)
    environment = {**_ENVIRONMENT, "BUILDX_CONFIG": str(directory / ".buildx"), **case.env}
    done = subprocess.run(
        [str(buildx), "bake", *_words(case)],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    text = done.stdout.decode(errors="surrogateescape")
    return (text if done.returncode == 0 else None), done.stderr.decode(errors="replace")
