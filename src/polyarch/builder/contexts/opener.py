"""Opening build contexts by name, each when a step first needs its files."""

from pathlib import Path
from typing import TYPE_CHECKING

from polyarch.builder.contexts.local import LocalContext
from polyarch.builder.contexts.remote import Fetcher
from polyarch.dockerfile import ignorefile
from polyarch.errors import PolyarchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyarch.store import Store


class ContextOpener:
    """Opens the contexts of one build. It owns nothing: what is fetched is in the fetcher's directory.

    `directories` are the contexts of this machine, `urls` those to fetch, `ignore` the texts of ignore files, each by
    the context's name; the main context has the name "". `now` is the time of the request in nanoseconds.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        store: "Store",
        now: int,
        directories: "Mapping[str, Path]",
        urls: "Mapping[str, str]",
        ignore: "Mapping[str, str]",
    ) -> None:
        self._fetcher = fetcher
        self._store = store
        self._now = now
        self._directories = directories
        self._urls = urls
        self._ignore = ignore

    def open(self, name: str) -> LocalContext:
        """The context `name`. Raises PolyarchError if there is none, and what fetching raises."""
        if name in self._urls:
            return LocalContext(self._fetcher.named(self._urls[name]), self._store, 0)
        directory = self._directories.get(name)
        if directory is None:
            raise PolyarchError("there is no build context", "name a directory, as in: polyarch build -t NAME .")
        ignore = self._ignore.get(name, "")
        matcher = ignorefile.matcher(ignorefile.parse(ignore)) if ignore.strip() else None
        return LocalContext(directory, self._store, self._now, matcher)
