"""Open build contexts by name, each when a step first needs its files."""

import threading
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from polyarch.builder.cache.lost import LostLayers
from polyarch.builder.contexts.local import LocalContext
from polyarch.builder.perform.remotes import Remotes
from polyarch.dockerfile import ignorefile
from polyarch.errors import PolyarchError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyarch.builder.contexts.ahead import WalksAhead
    from polyarch.store import Store


_T = TypeVar("_T")


class SharedInputs:
    """What the builds of one command open once: bases, contexts, downloads, unpacked layers; and the locks between
    them. It owns nothing: each build closes what it uses, and all builds end together.
    """

    def __init__(self, lost: LostLayers | None = None, walks: "WalksAhead | None" = None) -> None:
        self.lost = lost or LostLayers()
        # Signatures of contexts that were worked out before the builds began.
        self.walks = walks
        self._made: dict[Hashable, Any] = {}
        self._lock = threading.RLock()
        self._locks: dict[Hashable, threading.Lock] = {}

    def once(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """What `make` returned for this key."""
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
            found: _T = self._made[key]
            return found

    def alone(self, key: Hashable) -> threading.Lock:
        """For `with`: no other build of the command does meanwhile what has this key."""
        with self._lock:
            return self._locks.setdefault(key, threading.Lock())


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
        common: SharedInputs,
    ) -> None:
        self._common = common
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

            url, fetcher = self._urls[name], Fetcher(self._remotes, self._scratch)
            return self._common.once(("context", url), lambda: LocalContext(fetcher.named(url), self._store, 0))
        directory = self._directories.get(name)
        if directory is None:
            raise PolyarchError("there is no build context", "name a directory, as in: polyarch build -t NAME .")
        ignore = self._ignore.get(name, "")
        absolute, walks = directory.absolute(), self._common.walks
        ahead = None if walks is None else partial(walks.take, absolute, ignore)
        rules = ignorefile.of_text(ignore)
        return self._common.once(
            ("context", absolute, ignore), lambda: LocalContext(directory, self._store, self._now, rules, ahead)
        )
