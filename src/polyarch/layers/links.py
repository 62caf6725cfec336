"""Hard links of a layer: the file that one is another name of must come before it, or no tool can unpack the layer."""

from polyarch.errors import CorruptError
from polyarch.layers.entry import Entry


class LinkGuard:
    """Sees every entry of a layer in order, with clean paths, and refuses a hard link to nothing."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._files: set[str] | None = None

    def add(self, entry: Entry) -> None:
        """Raises CorruptError for a hard link that names itself, or no file that came before."""
        if self._files is None:
            if entry.kind != "hardlink":
                self._entries.append(entry)
                return
            # Most layers have no hard links, so their names are collected only when the first link comes.
            self._files = {before.path for before in self._entries if before.kind != "directory"}
            self._entries.clear()
        if entry.kind == "hardlink" and (entry.link not in self._files or entry.link == entry.path):
            raise CorruptError(
                f"{entry.path} is a hard link to {entry.link}, and no file of that name stands before it in the layer",
                "no tool could unpack this layer, so it was not written",
            )
        if entry.kind != "directory":
            self._files.add(entry.path)
