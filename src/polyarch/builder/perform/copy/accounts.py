"""Names of `--chown` and USER, looked up in a stage's etc/passwd and etc/group."""

from collections.abc import Callable

import msgspec

from polyarch.sandbox import passwd

# The account for unknown names, so this name need not be in the files.
_ROOT = "root"
# Returns the text of a file of the stage, following symlinks; None if there is no file.
ReadText = Callable[[str], str | None]


class Owner(msgspec.Struct, frozen=True):
    """The ids (uid, gid) of an owner, and the names that were not found, as `user NAME` or `group NAME`."""

    ids: tuple[int, int]
    unknown: tuple[str, ...] = ()


def owner(text: str, read: ReadText) -> Owner | None:
    """The owner in `text`, the value of `--chown` or USER; None for an empty text.

    As in BuildKit (solver/llbsolver/ops/user_linux.go), an unknown name is root. Without a group, the group is the
    primary one of a user's name, and the number itself for a number. An empty group after a colon is 0.
    """
    if not text:
        return None
    user, colon, group = text.partition(":")
    uid, gid = 0, 0
    unknown: list[str] = []
    if passwd.is_number(user):
        uid = gid = int(user)
    elif user:
        row = _record(read("etc/passwd"), user)
        if row is not None:
            # A field that is not a number is 0, as in moby/sys/user.
            uid, gid = passwd.number(row, 2) or 0, passwd.number(row, 3) or 0
        elif user != _ROOT:
            unknown.append(f"user {user}")
    if colon:
        if passwd.is_number(group):
            gid = int(group)
        elif group:
            row = _record(read("etc/group"), group)
            if row is not None:
                gid = passwd.number(row, 2) or 0
            elif group != _ROOT:
                unknown.append(f"group {group}")
        else:
            gid = 0
    return Owner((uid, gid), tuple(unknown))


def _record(text: str | None, name: str) -> list[str] | None:
    """The first record of `name`."""
    return next((record for record in passwd.records(text or "") if record[0] == name), None)
