"""Resolve paths inside an image: symbolic links are followed, but never out of the image, as with chroot.

A function returns the entries, so that the flattened image, a layer that is being unpacked, and tests share this code.
"""

from collections.abc import Callable

from polyarch.errors import ConflictError
from polyarch.layers.entry import Entry

# The limit of Linux (path_resolution(7)).
MAX_LINKS = 40


def resolve(path: str, look: Callable[[str], Entry | None], follow_last: bool = True) -> str:
    """The path that `path` leads to when all symbolic links on the way are followed, from the root of the image.

    Parts that do not exist are kept. Raises ConflictError if links form a circle.
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
