"""Which files a project has, where it is, its variables and its name."""

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from polyarch.compose import interpolate, loader, yamlfile
from polyarch.compose.loader import ComposeFile, Warn
from polyarch.compose.places import ComposeError, PlacedFile
from polyarch.errors import NotFoundError, UsageError

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


class ComposeWords(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says about a project. Paths are relative to the working directory."""

    files: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    project_name: str = ""
    directory: str = ""
    profiles: tuple[str, ...] = ()


class Surrounding(msgspec.Struct, frozen=True, kw_only=True):
    """The working directory, the variables of the process, and how standard input is read."""

    directory: str
    variables: Mapping[str, str] = {}
    stdin: Callable[[], bytes] = lambda: b""
    warn: Warn = lambda message: None


class FoundProject(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a project, its directory, its variables, its name and its active profiles."""

    files: tuple[ComposeFile, ...]
    directory: str
    environment: Mapping[str, str]
    name: str
    profiles: tuple[str, ...]


def find(words: ComposeWords, around: Surrounding) -> FoundProject:
    """The project that a user means. Raises NotFoundError, UsageError, ComposeError."""
    if words.project_name:
        _check_name(words.project_name, "--project-name")
    variables = {"PWD": around.directory, **around.variables}
    asked = _absolute(around.directory, words.directory) if words.directory else ""
    listed = words.env_files or tuple(filter(None, variables.get("COMPOSE_ENV_FILES", "").split(",")))
    env_files = [_absolute(around.directory, name) for name in listed]
    paths = [name if name == "-" else _absolute(around.directory, name) for name in words.files]

    def with_env_files(known: dict[str, str], directory: str) -> dict[str, str]:
        return {**_variables(env_files, directory, known, around.warn), **known}

    directory = asked or _directory_of(paths) or around.directory
    variables = with_env_files(variables, directory)
    if not paths and "COMPOSE_FILE" in variables:
        separator = variables.get("COMPOSE_PATH_SEPARATOR") or ":"
        paths = [
            name if name == "-" else _absolute(around.directory, name)
            for name in variables["COMPOSE_FILE"].split(separator)
        ]
    paths = paths or _default(directory, around.warn)
    directory = asked or _directory_of(paths) or around.directory
    variables = with_env_files(variables, directory)
    files = tuple(_read(path, around.stdin) for path in paths)
    name = _name(words.project_name, files, directory, variables)
    profiles = words.profiles or tuple(one.strip() for one in variables.get("COMPOSE_PROFILES", "").split(","))
    return FoundProject(
        files=files,
        directory=directory,
        environment={**variables, "COMPOSE_PROJECT_NAME": name},
        name=name,
        profiles=tuple(filter(None, profiles)),
    )


def _absolute(directory: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(directory, name))


def _directory_of(paths: Sequence[str]) -> str:
    return next((posixpath.dirname(path) for path in paths if path != "-"), "")


def _variables(env_files: Sequence[str], directory: str, known: Mapping[str, str], warn: Warn) -> dict[str, str]:
    """The variables of `--env-file`, else of the project's `.env`."""
    paths = list(env_files)
    disabled = known.get("COMPOSE_DISABLE_ENV_FILE", "")
    if disabled not in ("", *_TRUE, *_FALSE):
        raise UsageError(f"COMPOSE_DISABLE_ENV_FILE={disabled} is neither true nor false")
    default = posixpath.join(directory, ".env")
    if not paths and disabled not in _TRUE and Path(default).is_file():
        paths = [default]
    return loader.env_files(paths, known, lambda name: warn(f"the variable {name} is not set"))


def _default(directory: str, warn: Warn) -> list[str]:
    """The compose file of a directory or of the nearest parent that has one, and the file that overrides it."""
    at = directory
    while True:
        found = _existing(at, NAMES)
        if found:
            overrides = _existing(at, OVERRIDES)
            for names in (found, overrides):
                if len(names) > 1:
                    warn(f"there are several files for the same: {', '.join(names)}; {names[0]} is used")
            return [*found[:1], *overrides[:1]]
        parent = posixpath.dirname(at)
        if parent == at:
            raise NotFoundError(
                f"there is no compose file in {directory} or above", f"name it with -f, or call it {NAMES[0]}"
            )
        at = parent


def _existing(directory: str, names: Sequence[str]) -> list[str]:
    return [path for path in (posixpath.join(directory, name) for name in names) if Path(path).exists()]


def _read(path: str, stdin: Callable[[], bytes]) -> ComposeFile:
    if path != "-":
        return loader.read(path)
    try:
        return ComposeFile("-", stdin().decode())
    except UnicodeDecodeError:
        raise UsageError("standard input is not UTF-8 text") from None


def _name(asked: str, files: Sequence[ComposeFile], directory: str, variables: Mapping[str, str]) -> str:
    """The name of a project: as asked, else of the environment, of the files, or of the directory."""
    if asked:
        return asked
    given = variables.get("COMPOSE_PROJECT_NAME", "")
    if given:
        _check_name(given, "COMPOSE_PROJECT_NAME")
        return given
    named = [name for file in files if (name := _named(file))]
    found = cleaned(interpolate.substituted(named[-1], variables, lambda name: None)) if named else ""
    found = found or ("" if named else cleaned(posixpath.basename(directory)))
    if not found:
        raise UsageError("the project has no name", "give it one with --project-name, or as the key name of the file")
    return found


def _named(file: ComposeFile) -> str:
    """The key `name` of a file. A file that does not parse has none here; loading it reports that."""
    found = ""
    if "name" not in file.text:
        return found
    try:
        for document in yamlfile.documents(PlacedFile(file.path, file.text)):
            name = document.value.get("name") if isinstance(document.value, dict) else None
            found = name if isinstance(name, str) and name else found
    except ComposeError:
        return found
    return found


def cleaned(name: str) -> str:
    """A name with the letters that a project's name can have."""
    return "".join(re.findall(r"[a-z0-9_-]", name.lower())).lstrip("_-")


def _check_name(name: str, where: str) -> None:
    if cleaned(name) != name:
        raise UsageError(
            f"{where} {name}: this cannot be the name of a project",
            "a name has lowercase letters, digits, - and _, and begins with a letter or digit",
        )
