"""What one build opens: a scratch directory, contexts, downloads, repositories; each once, and closed by one owner."""

from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from polyarch import progress
from polyarch.builder.contexts.opener import ContextOpener, SharedInputs
from polyarch.builder.contexts.sources import (
    DockerfileText,
    OpenedContext,
    open_directory,
    read_dockerfile,
    read_ignore_files,
)
from polyarch.builder.perform.remotes import Remotes
from polyarch.builder.request.input import DirectoryContext, LayoutContext, RemoteContext
from polyarch.builder.request.request import BuildRequest
from polyarch.dockerfile import directives, parser
from polyarch.dockerfile.parser import Dockerfile
from polyarch.dockerfile.source import DockerfileError
from polyarch.errors import UnsupportedError
from polyarch.transfer.read_through import ReadThroughSource

if TYPE_CHECKING:
    from polyarch.builder.judge import Judge
    from polyarch.builder.remote import RemoteRunner
    from polyarch.registry import Registry
    from polyarch.store import Store

_TRUE = ("1", "true")


class Workspace:
    """The inputs of one build, opened when something first needs them. It owns the scratch directory, until `close`.

    The main context is fetched after the Dockerfile is known to parse, unless the Dockerfile is in it.
    """

    def __init__(
        self,
        request: BuildRequest,
        store: "Store",
        registry: "Registry",
        emit: progress.Emit = progress.ignore,
        common: SharedInputs | None = None,
        judge: "Judge | None" = None,
        remote: "RemoteRunner | None" = None,
    ) -> None:
        self.common = common or SharedInputs()
        self.request = request
        self.store = store
        self.registry = registry
        self.emit = emit
        self.judge = judge
        self.remote = remote
        self.source = self.common.once(
            "source", lambda: ReadThroughSource(store, registry, missing=self.common.lost.missing)
        )
        self._stack = ExitStack()

    def close(self) -> None:
        """Remove the scratch directory and what was fetched into it."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def scratch(self) -> Path:
        """A directory for temporary files."""
        return self._stack.enter_context(self.store.temporary())

    @cached_property
    def remotes(self) -> Remotes:
        """What fetches from other machines."""
        request = self.request
        return self.common.once(
            ("remotes", request.cache.no_cache, *request.secrets.secrets.items()),
            lambda: Remotes(request, self.store, self.registry, self.scratch, self.emit),
        )

    @cached_property
    def dockerfile(self) -> Dockerfile:
        """The Dockerfile. Raises DockerfileError, UnsupportedError for another frontend's language, NotFoundError."""
        found = self._dockerfile_text
        syntax = self.request.plan.arguments.get("BUILDKIT_SYNTAX") or directives.find(found.text, "syntax")
        try:
            return parser.parse(found.text, found.name)
        except DockerfileError as error:
            if directives.is_dockerfile(syntax):
                raise
            raise UnsupportedError(
                f"{found.name} is for the frontend {syntax}, which this builder does not have: {error.message}",
                "it reads the Dockerfile language, as docker/dockerfile does",
            ) from error

    @cached_property
    def contexts(self) -> ContextOpener:
        """The build contexts. Fetches the main one if that has not been done yet."""
        return ContextOpener(
            self.remotes,
            self.scratch,
            self.store,
            int(self.request.created * 1e9),
            self._directories,
            {str(name): source.url for name, source in self.request.contexts() if isinstance(source, RemoteContext)},
            self._ignore,
            self.common,
        )

    @property
    def ignore(self) -> str:
        """The text of the main context's ignore file; empty without one."""
        return self._ignore.get("", "")

    @property
    def layouts(self) -> dict[str, tuple[Path, str]]:
        """The OCI layouts among the named contexts, by the words that name them: a path, and a tag or digest."""
        found = (source for _, source in self.request.contexts())
        return {one.word: (one.path, one.version) for one in found if isinstance(one, LayoutContext)}

    @cached_property
    def _main(self) -> OpenedContext:
        context = self.request.input.context
        if context is None:
            return OpenedContext()
        if isinstance(context, DirectoryContext):
            return open_directory(context.path)
        from polyarch.builder.contexts.remote import Fetcher

        keep_git = self.request.plan.arguments.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "").lower() in _TRUE
        return Fetcher(self.remotes, self.scratch).main(context, self.request.input.stdin, keep_git=keep_git)

    @cached_property
    def _dockerfile_text(self) -> DockerfileText:
        asked = self.request.input
        if isinstance(asked.context, DirectoryContext):
            # Only looks whether the directory is there, which is the first thing that can be wrong.
            _ = self._main
        if asked.dockerfile is not None:
            return DockerfileText("Dockerfile", asked.dockerfile)
        if asked.file is not None and (asked.file.is_absolute() or asked.context is None):
            return read_dockerfile(None, asked.file)
        opened = self._main
        if asked.file is None and opened.text is not None:
            return DockerfileText("Dockerfile", opened.text)
        file = asked.file
        if file is not None and opened.directory is not None and not opened.ignores:
            file = opened.directory / file
        return read_dockerfile(opened.directory, file)

    @cached_property
    def _directories(self) -> dict[str, Path]:
        named = self.request.contexts()
        found = {str(name): source.path for name, source in named if isinstance(source, DirectoryContext)}
        return found if self._main.directory is None else {**found, "": self._main.directory}

    @cached_property
    def _ignore(self) -> dict[str, str]:
        directories = self._directories
        if not self._main.ignores:
            directories = {name: path for name, path in directories.items() if name}
        return read_ignore_files(directories, self._dockerfile_text.path)
