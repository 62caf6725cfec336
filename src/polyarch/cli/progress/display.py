"""Open the renderer that `--progress` selects, for the time of one command."""

from types import TracebackType
from typing import Protocol, TextIO

from polyarch.cli.progress.modes import MODES
from polyarch.errors import UsageError
from polyarch.progress import Emit, Event


class Renderer(Protocol):
    """Shows events until it is closed. Calling it is thread-safe."""

    def __call__(self, event: Event, /) -> None: ...
    def close(self) -> None: ...


class Display:
    """A renderer for the time of one command: `with Display(…) as emit`. Closing leaves the terminal as it was.

    `dumb` says that the terminal cannot move its cursor; `auto` is then `plain`. Raises UsageError for an unknown mode.
    """

    def __init__(
        self, mode: str, stream: TextIO, *, colour: bool = True, dumb: bool = False, verb: str = "Building"
    ) -> None:
        if mode == "auto":
            mode = "tty" if stream.isatty() and not dumb else "plain"
        self._renderer = _renderer(mode, stream, colour, verb)

    def __enter__(self) -> Emit:
        return self._renderer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._renderer.close()


class Quiet:
    """Shows nothing."""

    def __call__(self, event: Event, /) -> None:
        return

    def close(self) -> None:
        return


def _renderer(mode: str, stream: TextIO, colour: bool, verb: str) -> Renderer:
    # A command needs one of them; the others are not imported.
    if mode == "tty":
        from polyarch.cli.progress.live import Live

        return Live(stream, colour=colour, verb=verb)
    if mode == "plain":
        from polyarch.cli.progress.plain import Plain

        return Plain(stream)
    if mode == "rawjson":
        from polyarch.cli.progress.rawjson import RawJson

        return RawJson(stream)
    if mode == "quiet":
        return Quiet()
    raise UsageError(f"unknown progress mode {mode!r}", f"set --progress or BUILDKIT_PROGRESS to {', '.join(MODES)}")
