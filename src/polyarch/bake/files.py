"""The files of a bake: which they are, and their text."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from polyarch.bake.hcl import source
from polyarch.bake.reading.definition import BakeFile, directory_of
from polyarch.errors import NotFoundError, UsageError

COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
DEFAULT = (
    *COMPOSE,
    "docker-bake.json",
    "docker-bake.hcl",
    "docker-bake.override.json",
    "docker-bake.override.hcl",
)
# As in buildx for a definition from a URL.
LARGEST = 2 << 20
_HINT = f"a bake file is named with -f, or is called {', '.join(DEFAULT)}"


def names(given: Sequence[str], variables: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the files: `given`, else those of BUILDX_BAKE_FILE; empty for the default ones."""
    if given or "BUILDX_BAKE_FILE" not in variables:
        return tuple(given)
    separator = variables.get("BUILDX_BAKE_PATH_SEPARATOR") or ":"
    found = (name.strip() for name in variables["BUILDX_BAKE_FILE"].split(separator))
    return tuple(filter(None, found))


def read(given: Sequence[str], directory: Path, stdin: Callable[[], bytes], *, relative: bool) -> list[BakeFile]:
    """The files with these names, or those of the default ones that exist. `-` is standard input.

    With `relative`, their contexts are relative to them. Raises NotFoundError, UsageError for a file that is not text.
    """
    found: list[BakeFile] = []
    for name in given or DEFAULT:
        if name == "-":
            found.append(BakeFile(name, decoded(stdin(), "standard input")))
            continue
        path = directory / name
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            if given:
                raise NotFoundError(f"there is no bake file {name}", _HINT) from None
            continue
        except OSError as error:
            raise UsageError(f"the bake file {name} cannot be read: {(error.strerror or str(error)).lower()}") from None
        found.append(BakeFile(name, decoded(content, name), directory_of(name) if relative else None))
    if not found:
        raise NotFoundError("there is no bake file here", _HINT)
    return found


def decoded(content: bytes, name: str) -> str:
    """The text of a file. Raises UsageError."""
    return source.decoded(content, name, "bake file", LARGEST)
