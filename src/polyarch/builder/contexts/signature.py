"""The signature of a directory: a text that changes whenever something in it changes, made of stats alone."""

import os
from collections.abc import Callable, Iterable

import msgspec

from polyarch.dockerfile.ignorefile import Matcher, State
from polyarch.layers.entry import parent_of
from polyarch.layers.walk import Skip, Stamped, stamps
from polyarch.oci import digest as digests

# In nanoseconds. The coarsest clock of a kernel in use ticks every 10 ms.
TICK = 50_000_000
_ROWS = 1000


class Signature(msgspec.Struct, frozen=True):
    """A text for all entries of a directory, the newest of their times in nanoseconds, and their number."""

    text: str
    newest: int
    count: int

    def certain(self, now: int) -> str:
        """The text; "" if something changed shortly before `now`, the time in nanoseconds before the walk began.

        A second change within one tick of the clock would leave the same times.
        """
        return "" if self.newest >= now - TICK else self.text


class Signing:
    """The signature of a directory while it is walked."""

    def __init__(self) -> None:
        # Sixty bytes for each file.
        self._digest = digests.new(little=True)
        self._rows: list[Stamped] = []
        self._newest = 0
        self._count = 0

    def add(self, rows: Iterable[Stamped]) -> None:
        """Add the next entries of the directory."""
        self._rows += rows
        while len(self._rows) >= _ROWS:
            self._flush()

    def signature(self) -> Signature:
        """The signature of all entries."""
        while self._rows:
            self._flush()
        return Signature(self._digest.hexdigest(), self._newest, self._count)

    def _flush(self) -> None:
        """Hash a certain number of rows, however many were added at a time."""
        rows, self._rows = self._rows[:_ROWS], self._rows[_ROWS:]
        self._count += len(rows)
        newest = self._newest
        for _, _, (_, _, modified, changed, _) in rows:
            if modified > newest:
                newest = modified
            if changed > newest:
                newest = changed
        self._newest = newest
        try:
            raw = msgspec.msgpack.encode(rows)
        except UnicodeEncodeError:
            raw = msgspec.msgpack.encode([(os.fsencode(path), mode, stamp) for path, mode, stamp in rows])
        self._digest.update(raw)


def sign(root: str, ignored: Matcher | None, check: Callable[[], None] | None = None) -> Signature:
    """The signature of what is below the directory `root` and not ignored. Raises as `layers.walk.walk` does. `check`
    is called after each thousand entries, to end a walk that is not needed any more.
    """
    signing = Signing()
    for rows in stamps(root, None if ignored is None else skipping(ignored, {})):
        signing.add(rows)
        if check is not None:
            check()
    return signing.signature()


def skipping(ignored: Matcher, states: dict[str, State]) -> Skip:
    """Leaves out what these rules ignore. `states` is filled with the state of each directory."""

    def skip(path: str, directory: bool) -> bool:
        state = ignored.enter(path, states.get(parent_of(path)))
        if directory:
            states[path] = state
        return state.matched and (not directory or ignored.skips(path, state))

    return skip
