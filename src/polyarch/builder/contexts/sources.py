"""Reading the Dockerfile and the ignore files of a build."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from polyarch.errors import NotFoundError, PolyarchError, UsageError

# The largest Dockerfile in bytes: as much as BuildKit's frontend reads.
_LARGEST = 4 << 20


class DockerfileText(msgspec.Struct, frozen=True):
    """A Dockerfile as it was read: its name for messages, its text, and its path, None if it was not a file."""

    name: str
    text: str
    path: Path | None = None


def read_dockerfile(directory: Path | None, file: Path | None) -> DockerfileText:
    """Read the Dockerfile at `file`; None means `Dockerfile`, or else `dockerfile`, in `directory`.

    Raises UsageError without either, NotFoundError, PolyarchError for a file that cannot be a Dockerfile.
    """
    if file is None:
        if directory is None:
            raise UsageError("there is neither a build context nor a Dockerfile")
        file = _default_file(directory)
    return DockerfileText(file.name, decoded(file, "Dockerfile"), file)


def read_ignore_files(directories: Mapping[str, Path], dockerfile: Path | None) -> dict[str, str]:
    """The text of each context's ignore file, by the context's name; contexts without one are left out.

    For the main context, "", `NAME.dockerignore` beside the Dockerfile wins over `.dockerignore`.
    """
    found: dict[str, str] = {}
    for name, directory in directories.items():
        candidates = [directory / ".dockerignore"]
        if not name and dockerfile is not None:
            candidates.insert(0, dockerfile.with_name(dockerfile.name + ".dockerignore"))
        for candidate in candidates:
            if candidate.is_file():
                found[name] = decoded(candidate, "ignore file")
                break
    return found


def _default_file(context: Path) -> Path:
    path = context / "Dockerfile"
    if not path.exists() and (context / "dockerfile").exists():
        return context / "dockerfile"
    return path


def decoded(path: Path, what: str) -> str:
    """The text of a file. Raises NotFoundError, PolyarchError for one that is too large to be a Dockerfile."""
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise NotFoundError(
            f"failed to read {what}: open {path}: no such file or directory",
            "name another one with -f FILE" if what == "Dockerfile" else None,
        ) from None
    except OSError as error:
        raise PolyarchError(f"failed to read {what}: {path}: {error.strerror}") from error
    if len(raw) > _LARGEST:
        raise PolyarchError(f"{path} is larger than {_LARGEST} bytes: it cannot be a {what}")
    return raw.decode("utf-8", "surrogateescape")
