"""Parse docker's flags for a container: `--env`, `--env-file` and `--volume`."""

import codecs
import os
from pathlib import Path
from typing import TYPE_CHECKING

from polyarch.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from polyarch.sandbox import Mount

_ENV_FILE_HINT = "--env-file takes lines of NAME=VALUE"


def env(pairs: "Iterable[str]", ours: "Mapping[str, str]") -> list[str]:
    """The variables of `--env` as NAME=VALUE. Raises UsageError for a pair without a name.

    NAME alone has its value in `ours`, and is left out if it is not set there, as in docker.
    """
    variables = [pair if "=" in pair else f"{pair}={ours[pair]}" for pair in pairs if "=" in pair or pair in ours]
    for variable in variables:
        if variable.startswith("="):
            raise UsageError(f"invalid variable {variable!r}", "expected NAME=VALUE")
    return variables


def env_files(files: "Iterable[str]", ours: "Mapping[str, str]") -> list[str]:
    """The variables in the files of `--env-file`, as `env`. Raises NotFoundError, UsageError with file and line."""
    variables: list[str] = []
    for file in files:
        try:
            content = Path(file).read_bytes()
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no file {file}", _ENV_FILE_HINT) from error
        for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
            variables += _line(line.removesuffix(b"\r"), f"{file}:{number}", ours)
    return variables


def _line(raw: bytes, where: str, ours: "Mapping[str, str]") -> list[str]:
    """The variable in one line, by docker's rules: blanks before the name are ignored, the value is taken unchanged."""
    try:
        line = raw.decode().lstrip()
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: the line is not UTF-8", _ENV_FILE_HINT) from error
    if not line or line.startswith("#"):
        return []
    name, equals, _ = line.partition("=")
    if not name:
        raise UsageError(f"{where}: {line!r} has no name before =", _ENV_FILE_HINT)
    if any(character.isspace() for character in name):
        hint = "the file is not a shell script: omit export" if name.startswith("export ") else "write NAME=VALUE"
        raise UsageError(f"{where}: the name {name!r} has a blank in it", hint)
    return env((line,), ours) if equals or name in ours else []


def volume(text: str, working_directory: Path) -> "Mount":
    """The mount that a value of `--volume` describes. Raises UsageError, NotFoundError."""
    from polyarch.sandbox import Bind

    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not source or not target.startswith("/") or mode not in ("", "ro", "rw", "z", "Z"):
        raise UsageError(f"invalid volume {text!r}", "expected SOURCE:/TARGET or SOURCE:/TARGET:ro")
    if not source.startswith(("/", ".", "~")):
        raise UsageError(
            f"{source!r} would be a named volume, which is not supported", f"to mount a directory, write ./{source}"
        )
    path = os.path.realpath(working_directory / os.path.expanduser(source))
    if not os.path.exists(path):
        raise NotFoundError(f"cannot mount {path}: it does not exist", "create it first")
    return Bind(path, target, mode == "ro")
