"""A source whose links to directories are followed, for `COPY --parents l/f` where `l` is such a symbolic link.

A walk does not follow links, so it never reaches such a path. In `FollowedLinks` the links on the way are the
directories that they lead to, as in `cp --parents`. Other links stay links.
"""

from collections.abc import Mapping, Sequence

from polyarch.builder.perform.copy import placement
from polyarch.builder.perform.copy.entry_table import join
from polyarch.builder.perform.copy.files import SourceFiles
from polyarch.layers.entry import Content, Entry, plain


def links_on(files: SourceFiles, top: str, parents: Sequence[str]) -> Mapping[str, str]:
    """The symbolic links to directories among the directories `parents` below `top`, and where each leads.

    Raises ConflictError for a loop.
    """
    found: dict[str, str] = {}
    path = top
    for name in parents:
        path = join(path, name)
        place = _placed(path, found)
        entry = files.entry(place)
        if entry is None:
            break
        if entry.kind == "symlink":
            leads = placement.resolve(files, place)
            target = files.entry(leads)
            if target is None or target.kind != "directory":
                break
            found[path] = leads
    return found


def _placed(path: str, links: Mapping[str, str]) -> str:
    """The path in the source. The longest matching link is used, because it is below the others."""
    for link in sorted(links, key=len, reverse=True):
        if path == link or path.startswith(f"{link}/"):
            rest = path[len(link) :]
            return f"{links[link]}{rest}" if links[link] else rest.lstrip("/")
    return path


class FollowedLinks:
    """`files`, with `links` as directories."""

    def __init__(self, files: SourceFiles, links: Mapping[str, str]) -> None:
        self._files = files
        self._links = links

    def entry(self, path: str) -> Entry | None:
        """Implements `Lookup.entry`."""
        found = self._files.entry(_placed(path, self._links))
        return found if found is None or found.path == path else plain(found, path=path)

    def names(self, path: str) -> tuple[str, ...]:
        """Implements `SourceTree.names`."""
        return self._files.names(_placed(path, self._links))

    def inode(self, path: str) -> str:
        """Implements `SourceTree.inode`."""
        return self._files.inode(_placed(path, self._links))

    def content(self, path: str) -> Content:
        """Implements `SourceFiles.content`."""
        return self._files.content(_placed(path, self._links))

    def fingerprint(self, path: str) -> str:
        """Implements `SourceFiles.fingerprint`."""
        return self._files.fingerprint(_placed(path, self._links))
