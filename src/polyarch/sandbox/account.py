"""Who a process runs as: the words of USER, resolved against the root filesystem's etc/passwd and etc/group."""

import msgspec


class Account(msgspec.Struct, frozen=True):
    """`groups` are the ids of all groups, the primary one first."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def resolve_user(rootfs: str, user: str) -> Account:
    """The account that `user` (`name|uid[:group|gid]`, empty for root) means in the tree at `rootfs`.

    No symlink leads out of `rootfs`. As in docker, a number needs no entry, and a group that is named takes the
    place of all the user's groups. Raises NotFoundError for an unknown name, PolyarchError for a bad number.
    """
    raise NotImplementedError
