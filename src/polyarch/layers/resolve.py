"""Paths inside an image: symbolic links followed in it, and never out of it, as chroot does.

Pure: what is there is asked of a function, so that the flattened image, a layer being unpacked and a test decide alike.
"""

from collections.abc import Callable

from polyarch.errors import ConflictError
from polyarch.layers.entry import Entry

# As Linux: path_resolution(7) allows forty links.
MAX_LINKS = 40


def resolve(path: str, look: Callable[[str], Entry | None], follow_last: bool = True) -> str:
    """The path that `path` leads to once every symbolic link on the way is followed, from the image's root.

    Parts that are not there are kept as they are. Raises ConflictError where links go in a circle.
    """
    pending = [part for part in reversed(path.split("/")) if part]
    at = ""
    links = 0
    while pending:
        part = pending.pop()
        if part == ".":
            continue
        if part == "..":
            # The root is its own parent.
            at = at.rpartition("/")[0]
            continue
        here = f"{at}/{part}" if at else part
        entry = look(here) if pending or follow_last else None
        if entry is None or entry.kind != "symlink":
            at = here
            continue
        links += 1
        if links > MAX_LINKS:
            raise ConflictError(f"/{path} leads through more than {MAX_LINKS} symbolic links")
        if entry.link.startswith("/"):
            at = ""
        pending.extend(part for part in reversed(entry.link.split("/")) if part)
    return at
