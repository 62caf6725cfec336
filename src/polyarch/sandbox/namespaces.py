"""The user and mount namespace in which everything that mounts happens."""

import msgspec


class Entered(msgspec.Struct, frozen=True):
    """How the namespace was made. `warnings` are for the person: messages of one or more lines."""

    warnings: tuple[str, ...] = ()


def entered() -> bool:
    """Whether this process has called `enter()`."""
    raise NotImplementedError


def enter(search_path: str) -> Entered:
    """Moves this process into a user namespace where it is root, and a mount namespace of its own.

    May be called again, and then does nothing. Raises UnsupportedError, with the setting or the package that
    helps, where a thread is alive beside the caller's or where the system does not allow it; the process must
    then not go on to run anything.
    """
    raise NotImplementedError
