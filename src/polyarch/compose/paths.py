"""Patterns of paths: keys of which `*` is any key, and `[]` any index."""

from collections.abc import Mapping
from typing import TypeVar

from polyarch.compose.places import TreePath

T = TypeVar("T")


class PathTable(Mapping[str, T]):
    """Values by patterns such as `services.*.build.args`."""

    def __init__(self, values: Mapping[str, T]) -> None:
        self._values = dict(values)
        self._by_length: dict[int, list[tuple[tuple[str, ...], T]]] = {}
        for pattern, value in values.items():
            parts = tuple(pattern.split("."))
            self._by_length.setdefault(len(parts), []).append((parts, value))

    def at(self, path: TreePath) -> T | None:
        """The value of the pattern that a path has; None if there is none."""
        for parts, value in self._by_length.get(len(path), ()):
            if all(_fits(part, one) for part, one in zip(parts, path, strict=True)):
                return value
        return None

    def __getitem__(self, pattern: str) -> T:
        return self._values[pattern]

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _fits(part: str, one: str | int) -> bool:
    return isinstance(one, int) if part == "[]" else part == "*" or part == one
