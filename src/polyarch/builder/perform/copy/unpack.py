"""Where the members of an archive come to lie that ADD unpacks: tar's rules, as a pure function like COPY's."""

import posixpath
from collections.abc import Iterable

import msgspec

from polyarch.builder.perform.copy.placed import CopyRules, Lookup, Placed, join
from polyarch.builder.perform.copy.placement import Placement, resolve
from polyarch.errors import PolyarchError
from polyarch.layers.entry import Entry, plain


class _Inside(msgspec.Struct, frozen=True):
    """A directory as a root of its own."""

    whole: Lookup
    top: str

    def entry(self, path: str) -> Entry | None:
        """As of `Lookup`."""
        return self.whole.entry(self.path(path))

    def path(self, path: str) -> str:
        """The path in the whole."""
        return join(self.top, path) if path else self.top


def unpack(
    placement: Placement, number: int, members: Iterable[tuple[Entry, str]], destination: str, rules: CopyRules
) -> None:
    """Put the members of an archive into `destination`, as tar would unpack them there; later ones win.

    `number` is what `Placed.origin` calls the archive; with each member comes what the archive calls its content.
    Owners are the archive's, unless the rules give one; modes and times are its own. No symlink of it leads out of
    the destination: to it that is the root. Raises PolyarchError for a hard link to no file of this layer.
    """
    placement.taken += 1
    top = resolve(placement, destination)
    placement.make_directories(top, msgspec.structs.replace(rules, mode=None))
    inside = _Inside(placement, top)
    implied = CopyRules(time=rules.time)
    for entry, called in members:
        parent, _, name = entry.path.rpartition("/")
        directory = inside.path(resolve(inside, parent))
        placement.make_directories(directory, implied)
        target = posixpath.join(directory, name)
        if not name:
            continue
        uid, gid = rules.owner or (entry.uid, entry.gid)
        placed = msgspec.structs.replace(plain(entry), path=target, uid=uid, gid=gid)
        found = placement.entry(target)
        if found is not None and found.kind == "directory" and entry.kind != "directory":
            placement.remove_below(target)
        if entry.kind == "hardlink":
            placement.link(placed, _original(placement, entry, inside))
        else:
            placement.put(Placed(placed, (number, called) if entry.kind == "file" else None))


def _original(placement: Placement, entry: Entry, inside: _Inside) -> Placed:
    """The file that a hard link of an archive is another name of."""
    directory, _, name = entry.link.rpartition("/")
    original = placement.placed(join(inside.path(resolve(inside, directory)), name))
    if original is None or original.entry.kind == "directory":
        raise PolyarchError(
            f"{entry.path} is a hard link to {entry.link}, which is no file of the archive before it",
            "put the target of a hard link into the same archive, before the link",
        )
    return original
