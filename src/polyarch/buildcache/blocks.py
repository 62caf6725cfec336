"""Large contents in blocks, several of which are sent at a time."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from polyarch.oci.place import Readable

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


def blocks(content: Readable, size: int) -> Iterator[bytes]:
    """The content in blocks of `size` bytes, the last one shorter. Raises whatever reading raises."""
    while block := _read(content, size):
        yield block


def _read(content: Readable, size: int) -> bytes:
    """`size` bytes, fewer only at the end."""
    pieces = []
    while size and (piece := content.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def together(function: Callable[[_Item], _Made], items: Iterable[_Item], parallelism: int) -> list[_Made]:
    """The results of `function`, in order. Items are taken one after the other, only as many as are worked on.

    Raises the first failure after all work has ended.
    """
    from collections import deque
    from concurrent.futures import Future, ThreadPoolExecutor

    made: list[_Made] = []
    pending: deque[Future[_Made]] = deque()
    with ThreadPoolExecutor(parallelism, thread_name_prefix="cache") as pool:
        for item in items:
            if len(pending) == parallelism:
                made.append(pending.popleft().result())
            pending.append(pool.submit(function, item))
        made.extend(future.result() for future in pending)
    return made
