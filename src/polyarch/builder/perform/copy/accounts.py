"""Names of `--chown` and USER, looked up in a stage's etc/passwd and etc/group."""

from collections.abc import Callable, Iterator

import msgspec

# The account for unknown names, so this name need not be in the files.
_ROOT = "root"
# Returns the text of a file of the stage, following symlinks; None if there is no file.
ReadText = Callable[[str], str | None]


class Owner(msgspec.Struct, frozen=True):
    """The ids (uid, gid) of an owner, and the names that were not found, as `user NAME` or `group NAME`."""

    ids: tuple[int, int]
    unknown: tuple[str, ...] = ()


def owner(text: str, read: ReadText) -> Owner | None:
    """The owner that `text`, a `--chown` or USER, means; None for an empty text.

    As in BuildKit (solver/llbsolver/ops/user_linux.go), an unknown name is root. Without a group, the group is the
    primary one of a user's name, and the number itself for a number. An empty group after a colon is 0.
    """
    if not text:
        return None
    user, colon, group = text.partition(":")
    uid, gid = 0, 0
    unknown: list[str] = []
    if _is_number(user):
        uid = gid = int(user)
    elif user:
        row = next(_rows(read("etc/passwd"), user), None)
        if row is not None:
            uid, gid = _field(row, 2), _field(row, 3)
        elif user != _ROOT:
            unknown.append(f"user {user}")
    if colon:
        if _is_number(group):
            gid = int(group)
        elif group:
            row = next(_rows(read("etc/group"), group), None)
            if row is not None:
                gid = _field(row, 2)
            elif group != _ROOT:
                unknown.append(f"group {group}")
        else:
            gid = 0
    return Owner((uid, gid), tuple(unknown))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _rows(text: str | None, name: str) -> Iterator[list[str]]:
    """The records of `name`; the first counts. Spaces around a line are ignored (moby/sys/user)."""
    for line in (text or "").split("\n"):
        fields = line.strip().split(":")
        if fields[0] == name:
            yield fields


def _field(row: list[str], number: int) -> int:
    """A numeric field; 0 if it is missing or not a number, as in moby/sys/user."""
    return int(row[number]) if len(row) > number and _is_number(row[number]) else 0
