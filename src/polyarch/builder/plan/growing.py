"""Immutable collections that grow at the cost of what is added: a stage may have thousands of instructions.

The newest of several derived values owns the contents. An older one that is used again, because two stages begin from
it, makes a copy first. Not safe for several threads.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")
_ABSENT = object()


class SharedMap(Mapping[str, T]):
    """A mapping in order of insertion; `updated` returns another one and does not change this."""

    __slots__ = ("_entries", "_newer", "_undo")

    def __init__(self, entries: Mapping[str, T] | Iterable[tuple[str, T]] = ()) -> None:
        self._entries: dict[str, T] | None = dict(entries)
        self._newer: SharedMap[T] | None = None
        # How to get this mapping from the newer one: former values, `_ABSENT` for new keys.
        self._undo: Mapping[str, object] = {}

    def updated(self, changes: Mapping[str, T]) -> "SharedMap[T]":
        """The mapping with these entries set; existing keys keep their order."""
        newer: SharedMap[T] = SharedMap()
        entries = newer._entries = self._own()
        self._undo = {key: entries.get(key, _ABSENT) for key in changes}
        entries.update(changes)
        self._entries, self._newer = None, newer
        return newer

    def _own(self) -> dict[str, T]:
        """The entries, copied from the newer mapping if that owns them."""
        if self._entries is not None:
            return self._entries
        steps: list[SharedMap[T]] = []
        here = self
        while here._entries is None:
            steps.append(here)
            assert here._newer is not None
            here = here._newer
        entries: dict[str, object] = dict(here._entries)
        for step in reversed(steps):
            for key, value in step._undo.items():
                if value is _ABSENT:
                    del entries[key]
                else:
                    entries[key] = value
        self._entries, self._newer, self._undo = entries, None, {}  # type: ignore[assignment]
        assert self._entries is not None
        return self._entries

    def __getitem__(self, key: str) -> T:
        return self._own()[key]

    def __contains__(self, key: object) -> bool:
        return key in self._own()

    def __iter__(self) -> Iterator[str]:
        return iter(self._own())

    def __len__(self) -> int:
        return len(self._own())


class SharedList(Generic[T]):
    """A sequence that grows at its end; `added` returns another one and does not change this."""

    __slots__ = ("_count", "_entries")

    def __init__(self, entries: Iterable[T] = ()) -> None:
        self._entries = list(entries)
        self._count = len(self._entries)

    def added(self, entry: T) -> "SharedList[T]":
        """The sequence with `entry` at its end."""
        longer: SharedList[T] = SharedList()
        longer._entries = self._entries if len(self._entries) == self._count else self._entries[: self._count]
        longer._entries.append(entry)
        longer._count = self._count + 1
        return longer

    def __iter__(self) -> Iterator[T]:
        return iter(self._entries[: self._count])
