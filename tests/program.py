"""Runs the command line as a user does: in a separate process, with its own store and home directory."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_SECONDS = 100.0


class Result(NamedTuple):
    """How a command ended."""

    arguments: tuple[str, ...]
    status: int
    stdout: str
    stderr: str

    def __str__(self) -> str:
        command = " ".join(self.arguments)
        return f"$ {command}\n-- status {self.status}\n-- stdout:\n{self.stdout}\n-- stderr:\n{self.stderr}"

    def json(self) -> Any:
        return json.loads(self.stdout)

    def lines(self) -> list[str]:
        return self.stdout.splitlines()


def run(
    command: Sequence[str | Path],
    *,
    check: bool = True,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | bytes = b"",
    seconds: float = _SECONDS,
) -> Result:
    """Run a command to its end. With check, a status other than 0 is an AssertionError that shows all it said."""
    arguments = tuple(os.fspath(part) for part in command)
    given = stdin.encode() if isinstance(stdin, str) else stdin
    # A command that hangs fails its test with the output so far; pytest-timeout would end the whole worker.
    try:
        done = subprocess.run(
            arguments, cwd=cwd, env=env, input=given, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as expired:
        said = [(stream or b"").decode(errors="replace") for stream in (expired.stdout, expired.stderr)]
        raise AssertionError(f"not done after {seconds} s\n{Result(arguments, -1, *said)}") from None
    result = Result(
        arguments, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )
    if check:
        assert result.status == 0, str(result)
    return result


class Program:
    """`polyarch`, on the store at `root`. Calling it runs a command: `polyarch("tag", "a", "b")`.

    Its environment is that of a fresh login, without any of the developer's settings. `prefix` is a
    command that runs a command, as another user for example.
    """

    def __init__(self, root: Path, home: Path, prefix: Sequence[str] = ()) -> None:
        self.root = root
        self.home = home
        self.prefix = tuple(prefix)
        self.path = Path(sys.executable).parent / "polyarch"
        self.env = {
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
            "POLYARCH_ROOT": str(root),
        }

    def __call__(
        self,
        *arguments: str | Path,
        check: bool = True,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | bytes = b"",
        seconds: float = _SECONDS,
    ) -> Result:
        """Run it to its end; `env` is added to the environment. The output must never contain a traceback."""
        result = run(
            [*self.prefix, self.path, *arguments],
            check=check,
            cwd=cwd,
            env={**self.env, **(env or {})},
            stdin=stdin,
            seconds=seconds,
        )
        assert "Traceback (most recent call last)" not in result.stderr, str(result)
        return result

    def fails(self, *arguments: str | Path, **options: Any) -> Result:
        """Run a command that must fail with a message."""
        result = self(*arguments, check=False, **options)
        assert result.status != 0, f"this should have failed:\n{result}"
        assert result.stderr.strip(), f"this failed without a word:\n{result}"
        return result

    def on(self, root: Path) -> "Program":
        """The same for another store."""
        return Program(root, self.home, self.prefix)
