"""Resolving USER against etc/passwd and etc/group of a root filesystem.

As in docker (moby/sys user.GetExecUser), a word is a name first, then a number. A number needs no entry, and an
explicit group replaces all groups of the user.
"""

from collections.abc import Iterable

import msgspec

from polyarch.errors import NotFoundError, PolyarchError
from polyarch.sandbox import passwd, search

# The maximum number of bytes read from a file of the image, which is untrusted.
_LIMIT = 16 << 20
_HIGHEST_ID = 2**31 - 1


class Account(msgspec.Struct, frozen=True):
    """The ids of a process. `groups` are the ids of all its groups, the primary one first. `home` is absolute."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def resolve_user(rootfs: str, user: str) -> Account:
    """Return the account of `user` (`name|uid[:group|gid]`, empty for root) in the tree at `rootfs`.

    Symlinks are not followed out of `rootfs`. Raises NotFoundError for an unknown name, PolyarchError for a number that
    is out of range.
    """
    name, _, group = user.partition(":")
    users = [record for record in _records(rootfs, "etc/passwd") if len(record) >= 4]
    groups = [record for record in _records(rootfs, "etc/group") if passwd.number(record, 2) is not None]
    wanted = int(name or "0") if passwd.is_number(name or "0") else None
    entry = next((record for record in users if record[0] == name and name), None) or next(
        (record for record in users if wanted is not None and passwd.number(record, 2) == wanted), None
    )
    entry_uid = passwd.number(entry, 2) if entry is not None else None
    entry_gid = passwd.number(entry, 3) if entry is not None else None
    others: tuple[int, ...] = ()
    if entry is not None and entry_uid is not None and entry_gid is not None:
        uid, gid = entry_uid, entry_gid
        home = entry[5] if len(entry) > 5 and entry[5].startswith("/") else "/"
        others = tuple(int(record[2]) for record in groups if len(record) > 3 and entry[0] in record[3].split(","))
    elif wanted is not None:
        uid, gid, home = _in_range(wanted, "user"), 0, "/"
    else:
        raise NotFoundError(
            f"unable to find user {name}: no matching entries in passwd file",
            "USER accepts a name in the image's /etc/passwd, or a number",
        )
    if group:
        group_record = next((record for record in groups if record[0] == group), None)
        if group_record is None and not passwd.is_number(group):
            raise NotFoundError(
                f"unable to find group {group}: no matching entries in group file",
                "a group is a name in the image's /etc/group, or a number",
            )
        gid, others = _in_range(int(group_record[2] if group_record else group), "group"), ()
    return Account(uid, gid, tuple(dict.fromkeys((gid, *others))), home)


def with_groups(rootfs: str, account: Account, groups: Iterable[str]) -> Account:
    """Return the account with further groups, by name or number. Raises as `resolve_user`."""
    ids = [resolve_user(rootfs, f"{account.uid}:{group}").gid for group in groups]
    return msgspec.structs.replace(account, groups=tuple(dict.fromkeys((*account.groups, *ids))))


def _in_range(number: int, what: str) -> int:
    if number > _HIGHEST_ID:
        raise PolyarchError(f"{what} id {number} is out of range: ids go from 0 to {_HIGHEST_ID}")
    return number


def _records(rootfs: str, path: str) -> list[list[str]]:
    file = search.open_file(rootfs, path)
    if file is None:
        # Without the file, the image has no names. As in docker, numbers still work.
        return []
    with open(file, encoding="utf-8", errors="replace") as reader:
        return list(passwd.records(reader.read(_LIMIT)))
