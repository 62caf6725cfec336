"""The system calls that Python does not have, each raising OSError with the path that it was about.

The new mount API has one number on every architecture that Linux 5.1 and later know (they were added to all
tables at once); the rest are functions of libc.
"""

import ctypes
import os

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_REC = 0x4000
MS_SLAVE = 1 << 19
MNT_DETACH = 2
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
RESOLVE_IN_ROOT = 0x10
RESOLVE_NO_MAGICLINKS = 0x02

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOUNT_ATTR_RDONLY = 1
_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT, _OPENAT2, _MOUNT_SETATTR = 428, 429, 430, 431, 432, 437, 442

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_libc.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]
_libc.unshare.argtypes = [ctypes.c_int]


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def _checked(result: int, about: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), about)
    return int(result)


def _syscall(number: int, about: str, *arguments: object) -> int:
    return _checked(_libc.syscall(ctypes.c_long(number), *arguments), about)


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2)."""
    _checked(_libc.mount(os.fsencode(source), os.fsencode(target), kind.encode(), flags, os.fsencode(data)), target)


def umount(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    _checked(_libc.umount2(os.fsencode(target), flags), target)


def unshare(flags: int) -> None:
    """unshare(2)."""
    _checked(_libc.unshare(flags), "unshare")


def open_tree(path: str, flags: int) -> int:
    """A file descriptor of the mounts at `path`; open_tree(2)."""
    return _syscall(
        _OPEN_TREE, path, ctypes.c_int(_AT_FDCWD), os.fsencode(path), ctypes.c_uint(flags | _OPEN_TREE_CLOEXEC)
    )


def make_read_only(tree: int) -> None:
    """Every mount of the detached `tree` becomes read-only; mount_setattr(2), Linux 5.12."""
    attributes = _MountAttr(attr_set=_MOUNT_ATTR_RDONLY)
    _syscall(
        _MOUNT_SETATTR,
        "mount_setattr",
        ctypes.c_int(tree),
        b"",
        ctypes.c_uint(_AT_EMPTY_PATH | AT_RECURSIVE),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )


def move_mount(tree: int, target: str) -> None:
    """Attaches the detached `tree` at `target`; move_mount(2)."""
    _syscall(
        _MOVE_MOUNT,
        target,
        ctypes.c_int(tree),
        b"",
        ctypes.c_int(_AT_FDCWD),
        os.fsencode(target),
        ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH),
    )


def fsopen(kind: str) -> int:
    """A context for a new mount of file system `kind`; fsopen(2)."""
    return _syscall(_FSOPEN, kind, kind.encode(), ctypes.c_uint(_FSOPEN_CLOEXEC))


def fsconfig_string(context: int, key: str, value: str) -> None:
    """Sets an option that has a value, of at most 255 bytes."""
    _syscall(
        _FSCONFIG,
        value,
        ctypes.c_int(context),
        ctypes.c_uint(_FSCONFIG_SET_STRING),
        key.encode(),
        os.fsencode(value),
        ctypes.c_int(0),
    )


def fsconfig_flag(context: int, key: str) -> None:
    """Sets an option that has no value."""
    _syscall(
        _FSCONFIG, key, ctypes.c_int(context), ctypes.c_uint(_FSCONFIG_SET_FLAG), key.encode(), None, ctypes.c_int(0)
    )


def fsmount(context: int, about: str) -> int:
    """A detached mount of what `context` describes: FSCONFIG_CMD_CREATE and fsmount(2)."""
    _syscall(_FSCONFIG, about, ctypes.c_int(context), ctypes.c_uint(_FSCONFIG_CMD_CREATE), None, None, ctypes.c_int(0))
    return _syscall(_FSMOUNT, about, ctypes.c_int(context), ctypes.c_uint(_FSMOUNT_CLOEXEC), ctypes.c_uint(0))


def openat2(directory: int, path: str, flags: int, resolve: int, mode: int = 0) -> int:
    """A file descriptor of `path` below `directory`; openat2(2), Linux 5.6."""
    how = _OpenHow(flags=flags | os.O_CLOEXEC, mode=mode, resolve=resolve)
    return _syscall(
        _OPENAT2,
        path,
        ctypes.c_int(directory),
        os.fsencode(path),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )


def memory_file(name: str, content: bytes) -> int:
    """A file descriptor of an executable file in memory, which a child inherits and may run as /proc/self/fd/N.

    MFD_EXEC is asked for because vm.memfd_noexec may take the permission away otherwise; before Linux 6.3 there is
    neither.
    """
    try:
        descriptor = os.memfd_create(name, 0x10)
    except OSError:
        descriptor = os.memfd_create(name, 0)
    os.write(descriptor, content)
    return descriptor
