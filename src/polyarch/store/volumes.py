"""Volumes: named directories that containers share with later ones. They stay until they are removed by name."""

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from polyarch.errors import ConflictError, CorruptError, NotFoundError, UsageError
from polyarch.store import disk, growth, locks, temporary
from polyarch.store.layout import StoreLayout

_FILES, _LOCK, _ABOUT = "files", "lock", "volume.json"
# docker's names of volumes and containers.
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", re.ASCII)


class StoredVolume(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a volume. `created` is Unix time; `files` is its directory."""

    name: str
    created: float
    labels: Mapping[str, str] = {}
    files: str = ""


def check_name(name: str) -> None:
    """Raise UsageError for a name that docker does not allow for a volume."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a volume",
            "a name has two or more letters, digits, _ . and -; a directory of this machine is written ./NAME or /NAME",
        )


class Volumes:
    """The volumes of a store. It owns nothing: a run holds a volume in a `with` statement."""

    def __init__(self, layout: StoreLayout) -> None:
        self._layout = layout

    def create(self, name: str, created: float, labels: Mapping[str, str] = {}) -> StoredVolume:
        """Make the volume unless it exists, and return it. Raises UsageError for a name that docker does not allow."""
        check_name(name)
        with contextlib.suppress(NotFoundError):
            return self.find(name)
        volume = StoredVolume(name=name, created=created, labels=dict(labels))
        place = self._place(name)
        with disk.explained("make a volume", self._layout.volumes):
            os.makedirs(self._layout.volumes, 0o700, exist_ok=True)
            with temporary.TemporaryDirectory(self._layout.temporary) as scratch:
                made = scratch / name
                made.mkdir(0o700)
                (made / _FILES).mkdir(0o755)
                (made / _LOCK).touch(0o600)
                (made / _ABOUT).write_bytes(msgspec.json.encode(volume))
                try:
                    os.rename(made, place)
                except OSError as error:
                    # Another process was faster.
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
        return self.find(name)

    def find(self, name: str) -> StoredVolume:
        """The volume of this name. Raises NotFoundError, CorruptError."""
        try:
            raw = Path(self._place(name), _ABOUT).read_bytes() if NAME.fullmatch(name) else None
        except FileNotFoundError:
            raw = None
        if raw is None:
            raise NotFoundError(f"there is no volume {name}", "polyarch volume ls lists them")
        try:
            found = msgspec.json.decode(raw, type=StoredVolume)
        except msgspec.DecodeError as error:
            raise CorruptError(f"the description of the volume {name} is damaged: {error}") from error
        return msgspec.structs.replace(found, name=name, files=f"{self._place(name)}/{_FILES}")

    def all(self) -> list[StoredVolume]:
        """All volumes, by name."""
        try:
            names = sorted(os.listdir(self._layout.volumes))
        except FileNotFoundError:
            return []
        found = []
        for name in names:
            with contextlib.suppress(NotFoundError):
                found.append(self.find(name))
        return found

    @contextlib.contextmanager
    def hold(self, name: str) -> Iterator[StoredVolume]:
        """The volume, which no other process can remove meanwhile. Raises NotFoundError."""
        volume = self.find(name)
        lock = os.open(f"{self._place(name)}/{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)
            if not locks.is_linked(lock, f"{self._place(name)}/{_LOCK}"):
                raise NotFoundError(f"the volume {name} was removed just now", "run the command again")
            yield volume
        finally:
            os.close(lock)

    def is_used(self, name: str) -> bool:
        """Whether a container uses it now."""
        return locks.is_taken(f"{self._place(name)}/{_LOCK}")

    def size(self, name: str) -> int:
        """The bytes that its files take on disk, measured now."""
        return growth.measured(self._place(name), _FILES)

    def remove(self, name: str) -> bool:
        """Remove the volume and its files. Raises NotFoundError, ConflictError if a container uses it.

        Returns False if files are left that only a process in their user namespace can remove
        (`Maintenance.reclaim`). The volume is gone in any case.
        """
        self.find(name)
        lock = os.open(f"{self._place(name)}/{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not locks.held(lock):
                raise ConflictError(f"cannot remove the volume {name}: a container uses it", "end the container first")
            with disk.explained("remove a volume", self._layout.volumes):
                moved = temporary.throw_away(self._place(name), self._layout.temporary)
        finally:
            os.close(lock)
        return temporary.reclaim_one(moved)

    def _place(self, name: str) -> str:
        return f"{self._layout.volumes}/{name}"
