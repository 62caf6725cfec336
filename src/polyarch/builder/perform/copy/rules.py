"""How a COPY changes the entries that it takes: owner, mode, and which of them it takes at all."""

from collections.abc import Callable

import msgspec

from polyarch.builder.perform.copy.modes import Mode
from polyarch.layers.entry import Entry

# Called with a path relative to the copied directory, and whether the path is a directory. Returns 0 for no, 2 for
# yes, and 1 for a directory for whose contents the answer may differ.
PathFilter = Callable[[str, bool], int]


class CopyRules(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one copy: owner (uid, gid), mode, and the time (seconds) of directories that it has to make.

    Without `include`, everything is included.
    """

    owner: tuple[int, int] | None = None
    mode: Mode | None = None
    time: int = 0
    include: PathFilter | None = None
    exclude: PathFilter | None = None


def changed(entry: Entry, target: str, rules: CopyRules) -> Entry:
    """The entry that a copy of `entry` to `target` has in the layer."""
    uid, gid = rules.owner or (entry.uid, entry.gid)
    mode = entry.mode
    if rules.mode is not None and entry.kind != "symlink":
        mode = rules.mode.apply(mode, directory=entry.kind == "directory")
    # A plain Entry, even if `entry` is of a subclass that has offsets in a tar. One call, because a copy has thousands.
    return Entry(
        path=target,
        kind=entry.kind,
        mode=mode,
        uid=uid,
        gid=gid,
        size=entry.size,
        mtime=entry.mtime,
        link=entry.link,
        xattrs=entry.xattrs,
        major=entry.major,
        minor=entry.minor,
    )
