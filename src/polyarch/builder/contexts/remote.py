"""Build contexts that are not a directory of this machine: standard input, archives at URLs, git repositories.

Each becomes a directory that lasts as long as the build. A Dockerfile that comes alone becomes its text.
"""

from pathlib import Path
from typing import BinaryIO

import msgspec

from polyarch.builder.contexts.sources import decoded
from polyarch.builder.perform.copy import archives
from polyarch.builder.perform.git import Repositories
from polyarch.builder.perform.http import Downloads
from polyarch.builder.plan import remote
from polyarch.builder.vertices import Git
from polyarch.errors import CorruptError, NotFoundError, UsageError
from polyarch.layers.entry import Content

_CHUNK = 1 << 20


class OpenedContext(msgspec.Struct, frozen=True, kw_only=True):
    """A main context: its directory, or the text of a Dockerfile that came alone.

    `ignores` says whether its .dockerignore counts: BuildKit applies none to what comes from elsewhere.
    """

    directory: Path | None = None
    text: str | None = None
    ignores: bool = True


def _no_directory(file: Path) -> UsageError:
    """A file where the context should be: mostly the Dockerfile, or an archive of a context."""
    if file.is_file() and archives.is_archive(str(file)):
        hint = f"an archive of a context is read from standard input: polyarch build - < {file}"
    else:
        hint = f"for a Dockerfile with the directory around it: polyarch build -f {file} {file.parent}"
    return UsageError(f"{file} is a file, and the build context is a directory", hint)


class Fetcher:
    """Makes directories of contexts. They are in `scratch`, which belongs to the caller."""

    def __init__(self, downloads: Downloads, repositories: Repositories, scratch: Path) -> None:
        self._downloads = downloads
        self._repositories = repositories
        self._scratch = scratch
        self._count = 0

    def main(self, word: str | Path, stdin: BinaryIO | None = None, *, keep_git: bool = False) -> OpenedContext:
        """The main context that `word` names: a Path is a directory, `-` is `stdin`, any other str is fetched.

        Raises NotFoundError, UsageError, CorruptError for a damaged archive, and what fetching raises.
        """
        if isinstance(word, str) and word == "-":
            if stdin is None:
                raise UsageError("there is no standard input to read the context from")
            return self._file(str(self._spooled(stdin)), "standard input")
        if isinstance(word, str):
            directory = self._repository(word, keep_git)
            if directory is not None:
                return OpenedContext(directory=directory, ignores=False)
            return self._file(self._downloads.path(self._downloads.fetch(word)), word)
        directory = word
        if directory.exists() and not directory.is_dir():
            raise _no_directory(directory)
        if not directory.is_dir():
            raise NotFoundError(f"there is no directory {word}", "name the directory of the build context")
        return OpenedContext(directory=directory)

    def named(self, word: str) -> Path:
        """The directory of a named context behind a URL: a repository, an archive, or one file called `context`."""
        directory = self._repository(word, keep_git=False)
        if directory is not None:
            return directory
        path = self._downloads.path(self._downloads.fetch(word))
        if archives.is_archive(path):
            return self._unpacked(path, word)
        directory = self._fresh()
        (directory / "context").write_bytes(Path(path).read_bytes())
        return directory

    def _file(self, path: str, what: str) -> OpenedContext:
        if archives.is_archive(path):
            return OpenedContext(directory=self._unpacked(path, what), ignores=False)
        return OpenedContext(text=decoded(Path(path), "Dockerfile"), ignores=False)

    def _repository(self, word: str, keep_git: bool) -> Path | None:
        source = remote.git(word, context=True)
        if source is None:
            return None
        keep = source.keep_git_directory
        vertex = Git(
            url=source.url,
            ref=source.wanted(),
            subdirectory=source.subdirectory,
            keep_git_directory=keep_git if keep is None else keep,
            checksum=source.checksum,
            submodules=source.submodules,
        )
        return self._repositories.checkout(vertex, self._repositories.commit(vertex)).directory

    def _unpacked(self, content: Content, what: str) -> Path:
        from polyarch.layers.apply import apply

        directory = self._fresh()
        try:
            with archives.opened(content) as plain:
                apply(plain, str(directory))
        except CorruptError as error:
            raise CorruptError(f"the archive from {what} is damaged: {error.message}", error.hint) from error
        return directory

    def _spooled(self, stream: BinaryIO) -> Path:
        path = self._fresh() / "stdin"
        with path.open("wb") as file:
            while chunk := stream.read(_CHUNK):
                file.write(chunk)
        return path

    def _fresh(self) -> Path:
        self._count += 1
        directory = self._scratch / f"context-{self._count}"
        directory.mkdir(mode=0o755)
        return directory
