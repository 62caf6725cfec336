"""Downloads and git repositories of one build. Each is imported when it is first used."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from polyarch import progress
from polyarch.builder.request.request import BuildRequest

if TYPE_CHECKING:
    from polyarch.builder.perform.git import GitRepositories
    from polyarch.builder.perform.http import Downloads
    from polyarch.registry import Registry
    from polyarch.store import Store


class Remotes:
    """The downloads and repositories of one build; safe from many threads. The caller owns `scratch`."""

    def __init__(
        self, request: BuildRequest, store: "Store", registry: "Registry", scratch: Path, emit: progress.Emit
    ) -> None:
        self._request = request
        self._store = store
        self._registry = registry
        self._scratch = scratch
        self._emit = emit
        self._lock = threading.Lock()
        self._downloads: Downloads | None = None
        self._repositories: GitRepositories | None = None
        self._cancelled = False

    @property
    def downloads(self) -> "Downloads":
        """Fetches URLs."""
        from polyarch.builder.perform.http import Downloads

        with self._lock:
            if self._downloads is None:
                ignore_cache = self._request.cache.no_cache
                self._downloads = Downloads(self._store, self._registry, self._emit, ignore_cache=ignore_cache)
            return self._downloads

    @property
    def repositories(self) -> "GitRepositories":
        """Fetches git repositories."""
        from polyarch.builder.perform.git import GitRepositories

        with self._lock:
            if self._repositories is None:
                host, secrets = self._request.host, self._request.secrets.secrets
                opened = GitRepositories(self._scratch, host.search_path, host.variables, self._emit, secrets)
                if self._cancelled:
                    opened.cancel()
                self._repositories = opened
            return self._repositories

    def cancel(self) -> None:
        """Kill the programs that run, and start no others."""
        with self._lock:
            self._cancelled = True
            if self._repositories is not None:
                self._repositories.cancel()
