"""System calls that Python does not have. Each raises OSError with the path concerned.

The calls of the new mount API have the same numbers on every architecture (they were added to all tables at once, in
Linux 5.1 and later); the others are functions of libc.
"""

import ctypes
import os
import signal

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_REC = 0x4000
MS_SLAVE = 1 << 19
MNT_DETACH = 2
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
RESOLVE_IN_ROOT = 0x10
RESOLVE_NO_MAGICLINKS = 0x02

_AT_FDCWD = -100
_PR_SET_PDEATHSIG = 1
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
_libc.setns.argtypes = [ctypes.c_int, ctypes.c_int]


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
    """Call mount(2)."""
    _checked(_libc.mount(os.fsencode(source), os.fsencode(target), kind.encode(), flags, os.fsencode(data)), target)


def umount(target: str, flags: int = 0) -> None:
    """Call umount2(2)."""
    _checked(_libc.umount2(os.fsencode(target), flags), target)


def unshare(flags: int) -> None:
    """Call unshare(2)."""
    _checked(_libc.unshare(flags), "unshare")


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process, a child of `parent`, when the thread that made it ends; see prctl(2)."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL), "prctl")
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def enter_namespace(path: str, kind: int) -> None:
    """Call setns(2) with the namespace at `path`, for the calling thread."""
    namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_libc.setns(namespace, kind), path)
    finally:
        os.close(namespace)


def open_tree(path: str, flags: int) -> int:
    """Return a file descriptor of the mounts at `path`; see open_tree(2)."""
    return _syscall(
        _OPEN_TREE, path, ctypes.c_int(_AT_FDCWD), os.fsencode(path), ctypes.c_uint(flags | _OPEN_TREE_CLOEXEC)
    )


def make_read_only(tree: int) -> None:
    """Make every mount of the detached `tree` read-only; see mount_setattr(2), Linux 5.12."""
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
    """Attach the detached `tree` at `target`; see move_mount(2)."""
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
    """Return a context for a new mount of the file system type `kind`; see fsopen(2)."""
    return _syscall(_FSOPEN, kind, kind.encode(), ctypes.c_uint(_FSOPEN_CLOEXEC))


def fsconfig_string(context: int, key: str, value: str) -> None:
    """Set an option with a value of at most 255 bytes."""
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
    """Set an option without a value."""
    _syscall(
        _FSCONFIG, key, ctypes.c_int(context), ctypes.c_uint(_FSCONFIG_SET_FLAG), key.encode(), None, ctypes.c_int(0)
    )


def fsmount(context: int, about: str) -> int:
    """Return a detached mount as configured in `context`: FSCONFIG_CMD_CREATE and fsmount(2)."""
    _syscall(_FSCONFIG, about, ctypes.c_int(context), ctypes.c_uint(_FSCONFIG_CMD_CREATE), None, None, ctypes.c_int(0))
    return _syscall(_FSMOUNT, about, ctypes.c_int(context), ctypes.c_uint(_FSMOUNT_CLOEXEC), ctypes.c_uint(0))


def openat2(directory: int, path: str, flags: int, resolve: int, mode: int = 0) -> int:
    """Return a file descriptor of `path` below `directory`; see openat2(2), Linux 5.6."""
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
    """Return a file descriptor of an executable file in memory.

    A child inherits it, and can run it as /proc/self/fd/N. MFD_EXEC is needed if vm.memfd_noexec is set; before Linux
    6.3, neither exists.
    """
    try:
        descriptor = os.memfd_create(name, 0x10)
    except OSError:
        descriptor = os.memfd_create(name, 0)
    os.write(descriptor, content)
    return descriptor
