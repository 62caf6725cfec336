"""Build contexts that are not a directory on this machine: standard input, archives at URLs, git repositories. Each is
unpacked into a directory that lasts as long as the build. A Dockerfile without a context is kept as text.
"""

from pathlib import Path
from typing import BinaryIO

from polyarch.builder.contexts.sources import OpenedContext, decoded
from polyarch.builder.perform.copy import archives
from polyarch.builder.perform.remotes import Remotes
from polyarch.builder.plan import remote
from polyarch.builder.request.input import RemoteContext, StreamContext
from polyarch.builder.vertices import Git
from polyarch.errors import CorruptError, UsageError
from polyarch.layers.entry import Content

_CHUNK = 1 << 20


def git_source(word: str, *, keep_git: bool = False) -> Git | None:
    """The repository that a build context names; None for another URL. Raises UsageError for a malformed one."""
    source = remote.git(word, context=True)
    if source is None:
        return None
    keep = source.keep_git_directory
    return Git(
        url=source.url,
        ref=source.wanted(),
        subdirectory=source.subdirectory,
        keep_git_directory=keep_git if keep is None else keep,
        checksum=source.checksum,
        submodules=source.submodules,
    )


class Fetcher:
    """Creates a directory for each context, in `scratch`, which belongs to the caller."""

    def __init__(self, remotes: Remotes, scratch: Path) -> None:
        self._remotes = remotes
        self._scratch = scratch

    def main(
        self, context: RemoteContext | StreamContext, stdin: BinaryIO | None = None, *, keep_git: bool = False
    ) -> OpenedContext:
        """Fetch the main context, or read it from `stdin`. Raises UsageError, CorruptError for a damaged archive, and
        the errors of fetching.
        """
        if isinstance(context, StreamContext):
            if stdin is None:
                raise UsageError("there is no standard input to read the context from")
            return self._file(str(self._spooled(stdin)), "standard input")
        directory = self._repository(context.url, keep_git)
        if directory is not None:
            return OpenedContext(directory=directory, ignores=False)
        return self._file(self._downloaded(context.url), context.url)

    def named(self, word: str) -> Path:
        """The directory of a named context behind a URL: a repository, an archive, or one file called `context`."""
        directory = self._repository(word, keep_git=False)
        if directory is not None:
            return directory
        path = self._downloaded(word)
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
        vertex = git_source(word, keep_git=keep_git)
        if vertex is None:
            return None
        repositories = self._remotes.repositories
        return repositories.checkout(vertex, repositories.commit(vertex)).directory

    def _downloaded(self, url: str) -> str:
        downloads = self._remotes.downloads
        return downloads.path(downloads.fetch(url))

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
        from tempfile import mkdtemp

        directory = Path(mkdtemp(prefix="context-", dir=self._scratch))
        directory.chmod(0o755)
        return directory
