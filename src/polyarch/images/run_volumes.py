"""The volumes of a run: named ones are of the store and stay, the others end with the run."""

import contextlib
import os
import subprocess
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.errors import NotFoundError

if TYPE_CHECKING:
    from polyarch.sandbox import Bind
    from polyarch.store import Store


class VolumeUse(msgspec.Struct, frozen=True):
    """A volume at `target`. Without a name it is a new one, which is removed with the container.

    With `copy`, an empty volume first gets what the image has at `target`. `subpath` is a directory in the volume.
    """

    name: str
    target: str
    read_only: bool = False
    copy: bool = True
    subpath: str = ""
    labels: tuple[tuple[str, str], ...] = ()


@contextlib.contextmanager
def bound(
    store: "Store", scratch: str, rootfs: str, uses: Iterable[VolumeUse], now: float, emit: progress.Emit
) -> "Iterator[tuple[Bind, ...]]":
    """The mounts of the volumes, which are made if they do not exist, and held until the block ends.

    `scratch` is a directory for those without a name, and `rootfs` where the image is mounted. Raises NotFoundError
    for a subpath that a volume lacks.
    """
    from polyarch.sandbox import Bind

    with contextlib.ExitStack() as held:
        binds = []
        for number, use in enumerate(uses):
            if use.name:
                store.volumes.create(use.name, now, dict(use.labels))
                files = held.enter_context(store.volumes.hold(use.name)).files
            else:
                files = os.path.join(scratch, f"volume-{number}")
                os.mkdir(files, 0o755)
            if use.copy and not os.listdir(files):
                _copy_up(rootfs, use.target, files, emit)
            binds.append(Bind(_below(files, use), use.target, use.read_only))
        yield tuple(binds)


def _below(files: str, use: VolumeUse) -> str:
    from polyarch.sandbox import search

    if not use.subpath:
        return files
    directory = search.open_directory(files, use.subpath)
    if directory is None:
        raise NotFoundError(f"the volume {use.name} has no directory {use.subpath}")
    try:
        return os.readlink(f"/proc/self/fd/{directory}")
    finally:
        os.close(directory)


def _copy_up(rootfs: str, target: str, files: str, emit: progress.Emit) -> None:
    """Copy the directory `target` of the image, with owners, modes and extended attributes, as docker does."""
    from polyarch.sandbox import search

    directory = search.open_directory(rootfs, target)
    if directory is None:
        return
    try:
        done = subprocess.run(
            ["cp", "-a", "--", f"/proc/self/fd/{directory}/.", files],
            pass_fds=(directory,),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    finally:
        os.close(directory)
    if done.returncode:
        emit(progress.Warned(f"not all of the image's {target} is in the volume", done.stderr.strip()))
