"""Copies of one build that hold the same bytes although they come from stages of different platforms.

A stage is another one on each platform, so the layers of `COPY --from` have different cache keys. Often they are the
same nevertheless: a web page, a wheel or a table that a step made twice. Such a layer is packed and sent once.
"""

import threading
from collections.abc import Callable
from itertools import zip_longest

from polyarch.builder.perform.copy.arrange import Arrangement
from polyarch.builder.perform.copy.files import StageFiles
from polyarch.contents.layer import Layer
from polyarch.errors import PolyarchError
from polyarch.layers.content import open_content
from polyarch.layers.entry import Content, Entry, LocalFile

_PIECE = 1 << 20


class _Copy:
    """A copy of one platform, and its layer once it is made. `making` is held meanwhile."""

    def __init__(self, arrangement: Arrangement) -> None:
        self.arrangement = arrangement
        self.layer: Layer | None = None
        self.making = threading.Lock()


class EqualCopies:
    """The copies from stages of one build, by series (see `LayerPacker`); safe from many threads. It owns nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._copies: dict[str, list[_Copy]] = {}

    def layer(self, series: str, arrangement: Arrangement, make: Callable[[], Layer]) -> Layer:
        """The layer of an earlier copy that has the same entries, times and bytes, or else the one that `make` returns.

        A copy waits for an equal one that is being made. If that one fails, it is made here.
        """
        if not any(isinstance(source, StageFiles) for source in arrangement.sources):
            return make()
        copy = _Copy(arrangement)
        with copy.making:
            with self._lock:
                known = self._copies.setdefault(series, [])
                earlier = tuple(known)
                known.append(copy)
            copy.layer = _made(arrangement, earlier) or make()
            return copy.layer


def _made(arrangement: Arrangement, earlier: tuple[_Copy, ...]) -> Layer | None:
    """The layer of the first copy with the same bytes. Each waits for earlier ones only, so none waits in a circle."""
    for other in earlier:
        if are_equal(arrangement, other.arrangement):
            with other.making:
                if other.layer is not None:
                    return other.layer
    return None


def are_equal(one: Arrangement, other: Arrangement) -> bool:
    """Whether two arrangements have the same tar. It ends at the first difference, mostly a time or a size.

    Only files that are unpacked on this machine are compared; reading others would cost more than it saves. A file that
    cannot be read is not equal: whoever packs it reports the error.
    """
    for left, right in zip_longest(one.items, other.items):
        if left is None or right is None or left.entry != right.entry:
            return False
        if left.entry.size and not _same_bytes(left.entry, one.content(left), other.content(right)):
            return False
    return True


def _same_bytes(entry: Entry, one: Content | None, other: Content | None) -> bool:
    if not isinstance(one, str | LocalFile) or not isinstance(other, str | LocalFile):
        return False
    try:
        with open_content(entry, one) as left, open_content(entry, other) as right:
            while piece := left.read(_PIECE):
                if piece != right.read(_PIECE):
                    return False
    except PolyarchError:
        return False
    return True
