"""What the work says about itself: frozen records, each pointing at a unit of work by its id.

The rooms emit; `cli/progress/` draws. A record carries no time: the renderer stamps it when it arrives,
because only `cli/` reads the clock. An `Emit` may be called from any thread.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import msgspec

from polyarch.errors import CancelledError


class Started(msgspec.Struct, frozen=True, tag="started"):
    """Work on a unit begins. `platforms` are those it is done for, empty where it serves them all."""

    id: str
    name: str
    platforms: tuple[str, ...] = ()


class OutputChunk(msgspec.Struct, frozen=True, tag="output"):
    """What a process of the unit wrote; `stream` is 1 for standard output, 2 for standard error."""

    id: str
    stream: int
    data: bytes


class Transferred(msgspec.Struct, frozen=True, tag="transferred"):
    """How far an item of the unit (a blob, a file) is, in bytes; `total` is 0 where it is not known.

    `note` says how an item came to be there without moving: "exists", "mounted".
    """

    id: str
    item: str
    current: int
    total: int
    note: str = ""


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The unit is done: from the cache, or by work, or with an error; or it was given up, which is no error."""

    id: str
    cached: bool = False
    error: str = ""
    canceled: bool = False


class Warned(msgspec.Struct, frozen=True, tag="warned"):
    """Something that the person should know, though the work goes on. `detail` may be several lines."""

    message: str
    detail: str = ""


Event = Started | OutputChunk | Transferred | Finished | Warned
Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """An Emit for callers who do not want to know."""


def failed(unit: str, error: BaseException) -> Finished:
    """The end of a unit that `error` ended."""
    if isinstance(error, CancelledError | KeyboardInterrupt):
        return Finished(unit, canceled=True)
    return Finished(unit, error=str(error) or type(error).__name__)


@contextmanager
def reported(emit: Emit, unit: str, name: str, platforms: Iterable[object] = ()) -> Iterator[None]:
    """A unit of work: it is started, and finished when the block ends, with the error where there is one."""
    emit(Started(unit, name, tuple(map(str, platforms))))
    try:
        yield
    except BaseException as error:
        emit(failed(unit, error))
        raise
    emit(Finished(unit))
