"""Cache mounts that steps for several platforms share (`sharing-platforms=true`), and binaries left in them."""

import os
from collections.abc import Iterable, Iterator

from polyarch.builder.vertices import RunCommand, Vertex
from polyarch.contents.binaries import identify, is_candidate
from polyarch.errors import PolyarchError
from polyarch.layers.content import open_content
from polyarch.layers.entry import Entry

# If a cache has more files, only a part is searched: searching all would delay each step.
_MOST = 50_000


def shared(vertices: Iterable[Vertex]) -> frozenset[str]:
    """The ids of the cache mounts that steps for more than one architecture use."""
    seen: dict[str, set[str]] = {}
    for vertex in vertices:
        if isinstance(vertex, RunCommand):
            for mount in vertex.mounts:
                if mount.kind == "cache":
                    seen.setdefault(mount.id, set()).add(vertex.platform.architecture)
    return frozenset(key for key, architectures in seen.items() if len(architectures) > 1)


def left_behind(directory: str, architecture: str, since: int) -> str:
    """The path of a binary for `architecture` in a cache that is newer than `since`; empty if there is none.

    `since` is a time of inodes (st_ctime_ns).
    """
    for path, status in _files(directory):
        if status.st_ctime_ns < since:
            continue
        relative = os.path.relpath(path, directory)
        entry = Entry(path=relative, kind="file", mode=status.st_mode & 0o7777, size=status.st_size)
        if is_candidate(entry):
            try:
                with open_content(entry, path) as reader:
                    found = identify(reader)
            except PolyarchError:
                continue  # another step is writing it
            if found is not None and found.form != "script" and architecture in found.architectures:
                return relative
    return ""


def _files(directory: str) -> Iterator[tuple[str, os.stat_result]]:
    pending = [directory]
    count = 0
    while pending and count < _MOST:
        try:
            with os.scandir(pending.pop()) as items:
                for item in items:
                    count += 1
                    if item.is_dir(follow_symlinks=False):
                        pending.append(item.path)
                    elif item.is_file(follow_symlinks=False):
                        yield item.path, item.stat(follow_symlinks=False)
        except OSError:
            continue
