"""Hard links of a layer: the file that a link names must come before it, or no tool can unpack the layer."""

from collections.abc import Callable

from polyarch.errors import CorruptError
from polyarch.layers.entry import Entry


class LinkGuard:
    """Checks that each hard link of a layer names an earlier file. It gets every entry in order, with clean paths.

    `before` returns the paths of all earlier entries that are not directories. Most layers have no hard links, so it
    is called only at the first link.
    """

    def __init__(self, before: Callable[[], set[str]]) -> None:
        self._before = before
        self._files: set[str] | None = None

    def add(self, entry: Entry) -> None:
        """Raises CorruptError for a hard link that names itself, or no file that came before."""
        if self._files is None:
            if entry.kind != "hardlink":
                return
            self._files = self._before()
        if entry.kind == "hardlink" and (entry.link not in self._files or entry.link == entry.path):
            raise CorruptError(
                f"{entry.path} is a hard link to {entry.link}, and no file of that name comes before it in the layer",
                "no tool could unpack this layer, so it was not written",
            )
        if entry.kind != "directory":
            self._files.add(entry.path)
