"""Cases whose answers by another program are recorded: what they are recorded under, and how both programs are run."""

import contextlib
import hashlib
import io
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from polyarch.cli.errors import ErrorPrinter
from polyarch.cli.execute import _run, _status

# Both programs see the same variables besides those of the case.
_ENVIRONMENT = {"HOME": "/home/someone", "PATH": "/usr/bin:/bin", "NO_COLOR": "1"}


class RecordedCase(NamedTuple):
    """Files, the words of the command, and the variables of the environment."""

    title: str
    files: Mapping[str, str]
    words: tuple[str, ...] = ()
    env: Mapping[str, str] = {}

    @property
    def key(self) -> str:
        """What the answer is recorded under: it changes with the case."""
        content = json.dumps([dict(self.files), self.words, dict(self.env)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def write_files(files: Mapping[str, str], directory: Path) -> None:
    """Write the files of a case."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def run_here(words: Sequence[str], directory: Path, env: Mapping[str, str]) -> tuple[str | None, str]:
    """What the command prints in this process, None if it fails; and what it writes on standard error."""
    variables: Mapping[str, str] = {**_ENVIRONMENT, "POLYARCH_ROOT": str(directory / ".store"), **env}
    raw, said = io.BytesIO(), io.StringIO()
    out = io.TextIOWrapper(raw, "utf-8")
    before = os.getcwd()
    os.chdir(directory)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
            errors = ErrorPrinter(debug=False, colour=False)
            status = _status(lambda: _run([*words], variables, errors), errors)
    finally:
        os.chdir(before)
    out.flush()
    text = raw.getvalue().decode(errors="surrogateescape")
    return (text if status == 0 else None), said.getvalue()


def run_there(command: Sequence[str], directory: Path, env: Mapping[str, str]) -> tuple[str | None, str]:
    """The same of another program."""
    done = subprocess.run(
        [*command],
        cwd=directory,
        env={**_ENVIRONMENT, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    text = done.stdout.decode(errors="surrogateescape")
    return (text if done.returncode == 0 else None), done.stderr.decode(errors="replace")
