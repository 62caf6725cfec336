"""Which members have the results of which steps, as far as builds have told the scheduler: pure, and bounded.

What is said here is a hint, not a result. A member answers from its own store, by the cache key of the step, so a wrong
hint costs a question and nothing else.
"""

from collections import OrderedDict
from collections.abc import Collection
from typing import Any

import msgspec

from polyarch.farm.values import short

# Where builds tell each other. The scheduler keeps the last 1,000 messages of a topic, in memory.
RESULTS = "polyarch-results"
# How many steps are remembered, and how many members for each.
_STEPS, _HOLDERS = 10_000, 4


class HeldResult(msgspec.Struct, frozen=True, array_like=True):
    """A member has the result of a step. `key` is the beginning of its cache key."""

    key: str
    member: str


class HeldResults:
    """The members that have results, by the beginnings of cache keys; and what other builds have not been told. Owns
    nothing.
    """

    def __init__(self) -> None:
        self._holders: OrderedDict[str, list[str]] = OrderedDict()
        self._untold: list[HeldResult] = []

    def learn(self, held: HeldResult) -> None:
        """Take note of a result of this build."""
        if self.add(held):
            self._untold.append(held)

    def news(self) -> Any:
        """What was learned since the last call, as a message for other builds; empty if nothing was."""
        untold, self._untold = self._untold, []
        return msgspec.to_builtins(untold)

    def add(self, held: HeldResult) -> bool:
        """Take note of a result. Returns whether it is new."""
        holders = self._holders.setdefault(held.key, [])
        self._holders.move_to_end(held.key)
        is_new = held.member not in holders
        if not is_new:
            holders.remove(held.member)
        holders.insert(0, held.member)
        del holders[_HOLDERS:]
        while len(self._holders) > _STEPS:
            self._holders.popitem(last=False)
        return is_new

    def hear(self, event: tuple[float, Any]) -> None:
        """Take note of what another build told, and when. Messages of something else are left out."""
        try:
            told = msgspec.convert(event[1], list[HeldResult])
        except msgspec.ValidationError:
            return
        for held in told:
            self.add(held)

    def holders(self, key: str, avoid: Collection[str] = ()) -> list[str]:
        """The members that have the result of the step with this cache key; the last one that made it comes first."""
        return [name for name in self._holders.get(short(key), ()) if name not in avoid] if key else []

    def forget(self, key: str, member: str) -> None:
        """A member does not have a result any more."""
        holders = self._holders.get(short(key), [])
        if member in holders:
            holders.remove(member)
