"""What a server leaves behind: content that arrived and that nothing names, or that lost its last name.

It stays for a while, because a client may be about to name it; then it is removed, unless something needs it.
"""

import threading
from collections.abc import Iterable

from polyarch.errors import ConflictError, CorruptError
from polyarch.oci.digest import Digest
from polyarch.store import Keep, Store

# Seconds to wait for commands that are using the store; the next turn tries again.
_BUSY = 5.0


class Leftovers:
    """The leftovers of a server, since the last turn but one. Safe from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._mutex = threading.Lock()
        self._now: set[Digest] = set()
        self._before: set[Digest] = set()

    def add(self, digests: Iterable[Digest]) -> None:
        """These are needed by nothing now."""
        with self._mutex:
            self._now.update(digests)

    def named(self, digests: Iterable[Digest]) -> None:
        """These have been named by a manifest."""
        wanted = tuple(digests)
        with self._mutex:
            self._now.difference_update(wanted)
            self._before.difference_update(wanted)

    def turn(self) -> None:
        """Release what was leased before the last turn, and remove those leftovers of before that nothing needs."""
        self._store.turn_lease()
        with self._mutex:
            old, self._before, self._now = self._before, self._now, set()
        if not old:
            return
        try:
            self._store.maintenance.gc(Keep(only=frozenset(old), snapshots=None), timeout=_BUSY)
        except ConflictError:
            self.add(old)
        except CorruptError:
            # What a damaged manifest names is unknown, so nothing is removed until it is repaired.
            return
