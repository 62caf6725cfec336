"""Progress events: frozen records, each pointing at a unit of work by its id.

The rooms emit them; `cli/progress/` shows them. An event carries no time: the renderer stamps it on arrival, because
only `cli/` reads the clock. An `Emit` may be called from any thread.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import msgspec

from polyarch.errors import CancelledError


class Started(msgspec.Struct, frozen=True, tag="started"):
    """Work on a unit begins. `platforms` are those it is done for, empty if it serves all of them."""

    id: str
    name: str
    platforms: tuple[str, ...] = ()


class OutputChunk(msgspec.Struct, frozen=True, tag="output"):
    """Output of a process of the unit; `stream` is 1 for standard output, 2 for standard error."""

    id: str
    stream: int
    data: bytes


class Transferred(msgspec.Struct, frozen=True, tag="transferred"):
    """The progress of an item of the unit (a blob, a file), in bytes; `total` is 0 if it is not known.

    `note` says why an item needed no transfer: "exists" or "mounted".
    """

    id: str
    item: str
    current: int
    total: int
    note: str = ""


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The unit has ended: from the cache, by work, with an error, or canceled, which is not an error."""

    id: str
    cached: bool = False
    error: str = ""
    canceled: bool = False


class Warned(msgspec.Struct, frozen=True, tag="warned"):
    """Something that the user should know, though the work goes on. `detail` may have several lines."""

    message: str
    detail: str = ""


Event = Started | OutputChunk | Transferred | Finished | Warned
Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Ignore `event`: an Emit for callers that do not show progress."""


def failed(unit: str, error: BaseException) -> Finished:
    """Return the event that ends a unit of work with `error`."""
    if isinstance(error, CancelledError | KeyboardInterrupt):
        return Finished(unit, canceled=True)
    return Finished(unit, error=str(error) or type(error).__name__)


@contextmanager
def reported(emit: Emit, unit: str, name: str, platforms: Iterable[object] = ()) -> Iterator[None]:
    """Emit the start of a unit of work, and its end when the block ends: with the error, if the block raised one."""
    emit(Started(unit, name, tuple(map(str, platforms))))
    try:
        yield
    except BaseException as error:
        emit(failed(unit, error))
        raise
    emit(Finished(unit))
