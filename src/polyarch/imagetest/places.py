"""Where the parts of a file of tests are, for messages."""

from collections.abc import Mapping
from difflib import get_close_matches

from polyarch.errors import UsageError

# Keys and indexes from the top of a file: ("test", 0, "run").
TreePath = tuple[str | int, ...]


class TestFileError(UsageError):
    """A mistake in a file of tests. The message begins with file, line and column where they are known."""

    __test__ = False


class FilePlaces:
    """The lines and columns of the keys and entries in a file."""

    def __init__(self, name: str, marks: Mapping[TreePath, tuple[int, int]]) -> None:
        self.name = name
        self._marks = marks

    def of(self, path: TreePath) -> str:
        """The place of a value, or of the nearest value around it: `tests.toml:3:1`."""
        for length in range(len(path), 0, -1):
            if found := self._marks.get(path[:length]):
                return f"{self.name}:{found[0]}:{found[1]}"
        return self.name

    def error(self, path: TreePath, reason: str, hint: str | None = None) -> TestFileError:
        """The error about the value at a path."""
        return TestFileError(f"{self.of(path)}: {reason}", hint)

    def unknown(self, path: TreePath, key: str, known: "list[str] | tuple[str, ...]") -> TestFileError:
        """The error about a key that is not known at `path`."""
        close = get_close_matches(key, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known here: {', '.join(known)}"
        return self.error((*path, key), f"unknown key {key}", hint)
