"""Who a process runs as: the words of USER, resolved against the root filesystem's etc/passwd and etc/group.

docker decides (moby/sys user.GetExecUser): a word is first a name, then a number; a number needs no entry, and a
group that is named takes the place of all the user's own groups.
"""

import msgspec

from polyarch.errors import NotFoundError, PolyarchError
from polyarch.sandbox import search

# A passwd of an image is someone else's file: no more than this is read of it.
_LIMIT = 16 << 20
_HIGHEST_ID = 2**31 - 1


class Account(msgspec.Struct, frozen=True):
    """`groups` are the ids of all groups, the primary one first. `home` is absolute."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def resolve_user(rootfs: str, user: str) -> Account:
    """The account that `user` (`name|uid[:group|gid]`, empty for root) means in the tree at `rootfs`.

    No symlink leads out of `rootfs`. Raises NotFoundError for an unknown name, PolyarchError for a bad number.
    """
    name, _, group = user.partition(":")
    passwd = [fields for fields in _records(rootfs, "etc/passwd") if len(fields) >= 4]
    groups = [fields for fields in _records(rootfs, "etc/group") if len(fields) >= 3 and fields[2].isdecimal()]
    wanted = name or "0"
    entry = next((fields for fields in passwd if fields[0] == name and name), None) or next(
        (fields for fields in passwd if wanted.isdecimal() and fields[2].isdecimal() and int(fields[2]) == int(wanted)),
        None,
    )
    if entry is not None and entry[2].isdecimal() and entry[3].isdecimal():
        uid, gid = int(entry[2]), int(entry[3])
        home = entry[5] if len(entry) > 5 and entry[5].startswith("/") else "/"
        others = tuple(int(each[2]) for each in groups if len(each) > 3 and entry[0] in each[3].split(","))
    elif wanted.isdecimal():
        uid, gid, home, others = _number(wanted, "user"), 0, "/", ()
    else:
        raise NotFoundError(
            f"unable to find user {name}: no matching entries in passwd file",
            "USER takes a name of the image's /etc/passwd, or a number",
        )
    if group:
        found = next((each for each in groups if each[0] == group), None)
        if found is None and not group.isdecimal():
            raise NotFoundError(
                f"unable to find group {group}: no matching entries in group file",
                "a group is a name of the image's /etc/group, or a number",
            )
        gid, others = _number(found[2] if found else group, "group"), ()
    return Account(uid, gid, tuple(dict.fromkeys((gid, *others))), home)


def _number(text: str, what: str) -> int:
    number = int(text)
    if number > _HIGHEST_ID:
        raise PolyarchError(f"{what} id {text} is out of range: ids go from 0 to {_HIGHEST_ID}")
    return number


def _records(rootfs: str, path: str) -> list[list[str]]:
    file = search.open_file(rootfs, path)
    if file is None:
        # An image without the file has no names: numbers still work, as in docker.
        return []
    with open(file, encoding="utf-8", errors="replace") as reader:
        return [line.split(":") for line in reader.read(_LIMIT).splitlines()]
