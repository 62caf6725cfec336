"""What renderers keep of one unit of work, and how they write its title and its transfers."""

from polyarch.progress import Started, Transferred
from polyarch.render import text

# The last lines of a unit's output that are kept.
_TAIL = 20


class Unit:
    """The state of one unit of work. Owned by its renderer, changed under the renderer's lock."""

    __slots__ = ("cached", "canceled", "error", "finished", "items", "number", "partial", "started", "tail", "title")

    def __init__(self, number: int, title: str, started: float) -> None:
        self.number = number
        self.title = title
        self.started = started
        self.finished: float | None = None
        self.cached = False
        self.canceled = False
        self.error = ""
        self.items: dict[str, Transferred] = {}
        self.partial = b""
        self.tail: list[str] = []

    def lines(self, data: bytes) -> list[str]:
        """The lines that `data` completes. A carriage return overwrites, so only what follows it counts."""
        *complete, self.partial = (self.partial + data).split(b"\n")
        shown = [text.plain(line.rstrip(b"\r").rpartition(b"\r")[2].decode("utf-8", "replace")) for line in complete]
        self.tail = (self.tail + shown)[-_TAIL:]
        return shown

    def rest(self) -> list[str]:
        """The last line, if no newline ended it."""
        return self.lines(b"\n") if self.partial else []


def title(event: Started) -> str:
    """The unit's name with its platforms in the brackets, as BuildKit writes `[linux/arm64 build 2/5] RUN make`."""
    name = text.plain(event.name)
    if not event.platforms:
        return name
    platforms = ",".join(event.platforms)
    return f"[{platforms} {name[1:]}" if name.startswith("[") else f"[{platforms}] {name}"


def short(item: str) -> str:
    """A digest cut to its first digits; any other name unchanged."""
    return item[:19] if item.startswith("sha256:") else item


def amount(event: Transferred) -> str:
    """How far a transfer is, as text."""
    if event.note:
        return event.note
    if event.total and event.current >= event.total:
        return f"{text.size(event.total)} done"
    return f"{text.size(event.current)} / {text.size(event.total)}" if event.total else text.size(event.current)
