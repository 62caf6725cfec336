"""Names of `--chown` and USER, looked up in a stage's etc/passwd and etc/group."""

from collections.abc import Callable, Iterator

import msgspec

# What a name comes to that nobody knows: so this one need not be known.
_ROOT = "root"
# Gives the text of a file of the stage, symbolic links followed; None where there is none.
ReadText = Callable[[str], str | None]


class Owner(msgspec.Struct, frozen=True):
    """What an owner comes to: (uid, gid), and the names that no file knows, in words for people."""

    ids: tuple[int, int]
    unknown: tuple[str, ...] = ()


def owner(text: str, read: ReadText) -> Owner | None:
    """The owner that `--chown` or USER says: None where it says nothing.

    A name that is not found is root, as in BuildKit (solver/llbsolver/ops/user_linux.go). A user's name alone takes
    its primary group, a number alone is the group too, as is any user's with a group that is not there; a colon with
    nothing behind it is group 0.
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
    """The lines for `name`; the first counts. Spaces around a line are no part of it (moby/sys/user)."""
    for line in (text or "").split("\n"):
        fields = line.strip().split(":")
        if fields[0] == name:
            yield fields


def _field(row: list[str], number: int) -> int:
    """A numeric field; one that is missing or is no number is 0, as moby/sys/user reads it."""
    return int(row[number]) if len(row) > number and _is_number(row[number]) else 0
