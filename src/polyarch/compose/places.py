"""Where the parts of a compose file are, and the error that shows it."""

from collections.abc import Sequence
from difflib import get_close_matches

from polyarch.bake.hcl.source import SourceFile, Span, excerpt
from polyarch.errors import UsageError

# Keys and indexes from the top of a file to a value: ("services", "web", "ports", 0).
TreePath = tuple[str | int, ...]


class ComposeError(UsageError):
    """A mistake in a compose file. With a place, the message has the file, the line and the words around."""

    def __init__(self, reason: str, hint: str | None = None, *, at: Span | None = None) -> None:
        self.reason = reason
        self.at = at
        super().__init__(reason if at is None else f"{at}: {reason}\n{excerpt(at)}", hint)


class PlacedFile:
    """A compose file and the places of its keys and list entries. One file can contain several documents."""

    def __init__(self, name: str, text: str) -> None:
        self.source = SourceFile(name, text)
        self.marks: dict[TreePath, Span] = {}

    def mark(self, path: TreePath, start: int, end: int) -> None:
        """Note where the key or the entry at a path is. The first place is kept."""
        self.marks.setdefault(path, Span(self.source, start, end))


class ComposePlaces:
    """The places of all files of a project. Later files are asked first, because they replace earlier ones."""

    def __init__(self) -> None:
        self._files: list[PlacedFile] = []

    def add(self, file: PlacedFile) -> None:
        """Add a file that was read."""
        self._files.append(file)

    def of(self, path: TreePath) -> Span | None:
        """The place of a value, or of the nearest value that contains it."""
        for length in range(len(path), 0, -1):
            for file in reversed(self._files):
                found = file.marks.get(path[:length])
                if found is not None:
                    return found
        return None

    def error(self, path: TreePath, reason: str, hint: str | None = None) -> ComposeError:
        """An error about the value at a path. The reason is shown after the path."""
        named = shown(path)
        return ComposeError(f"{named}: {reason}" if named else reason, hint, at=self.of(path))


def shown(path: TreePath) -> str:
    """A path as in messages: `services.web.ports[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def near(word: str, known: Sequence[str], what: str = "") -> str | None:
    """A hint that names a known word which is similar, else the first known ones."""
    found = get_close_matches(word, known, n=1)
    if found:
        return f"did you mean {found[0]}?"
    return f"{what or 'known'}: {', '.join(sorted(known)[:8])}" if known else None
