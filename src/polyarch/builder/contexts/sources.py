"""Read the Dockerfile and the ignore files of a build."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from polyarch.builder.contexts.location import is_directory
from polyarch.errors import NotFoundError, PolyarchError, UsageError

# The largest Dockerfile in bytes: as much as BuildKit's frontend reads.
_LARGEST = 4 << 20


class DockerfileText(msgspec.Struct, frozen=True):
    """A Dockerfile that was read: its name for messages, its text, and its path (None if it was not a file)."""

    name: str
    text: str
    path: Path | None = None


class OpenedContext(msgspec.Struct, frozen=True, kw_only=True):
    """A main context: its directory, or the text of a Dockerfile without a context. `ignores` says whether its
    .dockerignore is applied: BuildKit applies none to a remote context.
    """

    directory: Path | None = None
    text: str | None = None
    ignores: bool = True


def open_directory(directory: Path) -> OpenedContext:
    """The main context in a directory on this machine. Raises NotFoundError, UsageError for a file."""
    if not is_directory(directory):
        if os.path.exists(directory):
            raise _no_directory(directory)
        raise NotFoundError(f"there is no directory {directory}", "name the directory of the build context")
    return OpenedContext(directory=directory)


def _no_directory(file: Path) -> UsageError:
    """The error for a file in place of the context: mostly the Dockerfile, or an archive of a context."""
    from polyarch.builder.perform.copy.archives import is_archive

    if file.is_file() and is_archive(str(file)):
        hint = f"an archive of a context is read from standard input: polyarch build - < {file}"
    else:
        hint = f"for a Dockerfile with the directory around it: polyarch build -f {file} {file.parent}"
    return UsageError(f"{file} is a file, and the build context is a directory", hint)


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
