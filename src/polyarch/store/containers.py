"""What is known of containers: those that `create` made, and the names of those that run now.

A container is an image and a command here, with an id and a name. `create` keeps one until it is removed, so that
programs can copy files out of it; one that runs is known while its process holds its file locked.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec

from polyarch.errors import ConflictError, CorruptError, NotFoundError, UsageError
from polyarch.store import disk, locks
from polyarch.store.layout import StoreLayout
from polyarch.store.volumes import NAME

_ID = 64
# docker takes any unambiguous beginning of an id.
_LEAST = 2


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """A container. `image` is the name that was given, `digest` that of its manifest, `created` Unix time."""

    id: str
    name: str
    image: str
    digest: str
    platform: str
    command: tuple[str, ...] = ()
    created: float = 0.0
    runs: bool = False


class Containers:
    """The containers of a store. It owns nothing; `hold` locks one file for its block."""

    def __init__(self, layout: StoreLayout) -> None:
        self._place = layout.containers

    def create(self, container: Container) -> Container:
        """Keep a container, with an id and a name if it has none. Raises ConflictError if its name is taken."""
        with self._locked():
            return self._write(self._named(container))

    @contextlib.contextmanager
    def hold(self, container: Container) -> Iterator[Container]:
        """A container that runs: it is known until the block ends. Raises as `create`."""
        with contextlib.ExitStack() as held:
            with self._locked():
                made = self._write(self._named(msgspec.structs.replace(container, runs=True)))
                file = os.open(self._path(made.id), os.O_RDWR | os.O_CLOEXEC)
                held.callback(os.close, file)
                locks.held(file)
            held.callback(self._forget, made.id)
            yield made

    def find(self, word: str) -> Container:
        """The container of this id, beginning of an id, or name. Raises NotFoundError, ConflictError."""
        known = self.all()
        found = [one for one in known if word in (one.id, one.name, f"/{one.name}")]
        if not found and len(word) >= _LEAST:
            found = [one for one in known if one.id.startswith(word)]
        if not found:
            raise NotFoundError(f"there is no container {word}", "containers are made by polyarch create")
        if len(found) > 1:
            raise ConflictError(f"{word} is the beginning of several ids", "give more of the id")
        return found[0]

    def all(self) -> list[Container]:
        """All containers, the newest first. Those whose process was killed are forgotten."""
        try:
            names = os.listdir(self._place)
        except FileNotFoundError:
            return []
        found = [self._read(name.removesuffix(".json")) for name in names if name.endswith(".json")]
        return sorted((one for one in found if one is not None), key=lambda one: -one.created)

    def remove(self, container: Container) -> None:
        """Forget a container. Raises ConflictError if it runs."""
        if container.runs:
            raise ConflictError(
                f"cannot remove the container {container.name}: it runs", "end the command polyarch run that runs it"
            )
        self._forget(container.id)

    def _named(self, container: Container) -> Container:
        name = secrets.token_hex(_ID // 2)
        wanted = container.name or name[:12]
        if not NAME.fullmatch(wanted):
            hint = "a name has two or more letters, digits, _ . and -"
            raise UsageError(f"{wanted!r} cannot be the name of a container", hint)
        for other in self.all():
            if other.name == wanted:
                way = "end it" if other.runs else f"remove it with polyarch rm {other.id[:12]}"
                raise ConflictError(f"the name {wanted} is in use by the container {other.id[:12]}", way)
        return msgspec.structs.replace(container, id=container.id or name, name=wanted)

    def _read(self, name: str) -> Container | None:
        try:
            found = msgspec.json.decode(Path(self._path(name)).read_bytes(), type=Container)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise CorruptError(f"{self._path(name)} is damaged: {error}", "remove the file") from error
        if found.runs and self._has_ended(name):
            self._forget(name)
            return None
        return found

    def _has_ended(self, name: str) -> bool:
        try:
            file = os.open(self._path(name), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            return locks.held(file)
        finally:
            os.close(file)

    def _write(self, container: Container) -> Container:
        temporary = f"{self._place}/.{container.id}"
        with disk.explained("keep a container", self._place):
            Path(temporary).write_bytes(msgspec.json.encode(container))
            os.rename(temporary, self._path(container.id))
        return container

    def _forget(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(name))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with disk.explained("keep a container", self._place):
            os.makedirs(self._place, 0o700, exist_ok=True)
        with locks.FileLock(f"{self._place}/lock"):
            yield

    def _path(self, name: str) -> str:
        return f"{self._place}/{name}.json"
