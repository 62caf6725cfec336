"""The arrangements of one build. One is used again for a platform whose base is the same at the destination."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from polyarch.builder.vertices import NOTHING, CopyFiles

# For types only: a cached build arranges nothing.
if TYPE_CHECKING:
    from polyarch.builder.perform.copy.arrange import Arrangement
    from polyarch.builder.perform.copy.entry_table import Lookup
    from polyarch.builder.perform.copy.files import SourceFiles


class _Request(msgspec.Struct, frozen=True):
    """What an arrangement depends on, except its base. Sources are the same if they are one object.

    A build context is one object for all platforms. The file system of a stage is another object on each.
    """

    copy: CopyFiles
    sources: "tuple[SourceFiles, ...]"
    owner: tuple[int, int] | None


class ArrangementCache:
    """Keeps arrangements; safe from many threads. It owns nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrangements: dict[_Request, list[Arrangement]] = {}

    def find(
        self, vertex: CopyFiles, sources: "Sequence[SourceFiles]", owner: tuple[int, int] | None, base: "Lookup"
    ) -> "Arrangement | None":
        """An arrangement of this copy that is also valid on `base`."""
        with self._lock:
            known = tuple(self._arrangements.get(_request(vertex, sources, owner), ()))
        return next((arrangement for arrangement in known if arrangement.is_valid_on(base)), None)

    def add(
        self,
        vertex: CopyFiles,
        sources: "Sequence[SourceFiles]",
        owner: tuple[int, int] | None,
        arrangement: "Arrangement",
    ) -> None:
        """Keep the arrangement of a copy; `owner` are the ids (uid, gid) of `--chown`."""
        with self._lock:
            self._arrangements.setdefault(_request(vertex, sources, owner), []).append(arrangement)


def _request(vertex: CopyFiles, sources: "Sequence[SourceFiles]", owner: tuple[int, int] | None) -> _Request:
    parts = tuple(msgspec.structs.replace(part, source=NOTHING) for part in vertex.parts)
    copy = msgspec.structs.replace(vertex, base=NOTHING, accounts=NOTHING, parts=parts, owner="")
    return _Request(copy, tuple(sources), owner)
