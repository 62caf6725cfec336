"""Where ADD puts the members of an archive that it unpacks: the rules of tar, as a pure function."""

import posixpath
from collections.abc import Iterable

import msgspec

from polyarch.builder.perform.copy.entry_table import Lookup, Placed, join
from polyarch.builder.perform.copy.placement import Placement, resolve
from polyarch.builder.perform.copy.rules import CopyRules
from polyarch.errors import PolyarchError
from polyarch.layers.entry import Entry, plain


class _Inside(msgspec.Struct, frozen=True):
    """The directory `top` of a file system, as a root of its own."""

    whole: Lookup
    top: str

    def entry(self, path: str) -> Entry | None:
        """Implements `Lookup.entry`."""
        return self.whole.entry(self.path(path))

    def path(self, path: str) -> str:
        """The path in the whole file system."""
        return join(self.top, path) if path else self.top


def unpack(
    placement: Placement, number: int, members: Iterable[tuple[Entry, str]], destination: str, rules: CopyRules
) -> None:
    """Put the members of an archive into `destination`, as tar unpacks them: later members replace earlier ones.

    `number` is the archive's number for `Placed.origin`. With each member comes the name of its content in the archive.
    Modes and times are those of the archive; so are owners, unless the rules have one. The destination is the root for
    symlinks, so none leads out of it. Raises PolyarchError for a hard link whose target is not in this layer.
    """
    placement.taken += 1
    top = resolve(placement, destination)
    placement.make_directories(top, msgspec.structs.replace(rules, mode=None))
    inside = _Inside(placement, top)
    implied = CopyRules(time=rules.time)
    for entry, content_name in members:
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
            placement.put(Placed(placed, (number, content_name) if entry.kind == "file" else None))


def _original(placement: Placement, entry: Entry, inside: _Inside) -> Placed:
    """The file that a hard link of an archive links to."""
    directory, _, name = entry.link.rpartition("/")
    original = placement.placed(join(inside.path(resolve(inside, directory)), name))
    if original is None or original.entry.kind == "directory":
        raise PolyarchError(
            f"{entry.path} is a hard link to {entry.link}, which is not an earlier file of the archive",
            "put the target of a hard link into the same archive, before the link",
        )
    return original
