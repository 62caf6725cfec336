"""Open build contexts by name, each when a step first needs its files."""

from pathlib import Path
from typing import TYPE_CHECKING

from polyarch.builder.contexts.local import LocalContext
from polyarch.builder.perform.remotes import Remotes
from polyarch.dockerfile import ignorefile
from polyarch.errors import PolyarchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyarch.store import Store


class ContextOpener:
    """Opens the contexts of one build. It owns nothing: what it fetches goes to `scratch`.

    `directories` are the contexts on this machine, `urls` those to fetch, `ignore` the texts of ignore files, each by
    the name of the context. The main context has the name "". `now` is the time of the request in nanoseconds.
    """

    def __init__(
        self,
        remotes: Remotes,
        scratch: Path,
        store: "Store",
        now: int,
        directories: "Mapping[str, Path]",
        urls: "Mapping[str, str]",
        ignore: "Mapping[str, str]",
    ) -> None:
        self._remotes = remotes
        self._scratch = scratch
        self._store = store
        self._now = now
        self._directories = directories
        self._urls = urls
        self._ignore = ignore

    def open(self, name: str) -> LocalContext:
        """The context `name`. Raises PolyarchError if it does not exist, and the errors of fetching."""
        if name in self._urls:
            from polyarch.builder.contexts.remote import Fetcher

            return LocalContext(Fetcher(self._remotes, self._scratch).named(self._urls[name]), self._store, 0)
        directory = self._directories.get(name)
        if directory is None:
            raise PolyarchError("there is no build context", "name a directory, as in: polyarch build -t NAME .")
        ignore = self._ignore.get(name, "")
        matcher = ignorefile.matcher(ignorefile.parse(ignore)) if ignore.strip() else None
        return LocalContext(directory, self._store, self._now, matcher)
