"""The user and mount namespace in which all mounts are made.

It needs two system calls and the id maps: unshare(CLONE_NEWUSER | CLONE_NEWNS) moves this process, and a helper that
stays in the parent's namespace writes the maps, because only that namespace knows the ids.
"""

import contextlib
import errno
import os
from collections.abc import Callable

import msgspec

from polyarch.errors import MachineError, UnsupportedError
from polyarch.sandbox import syscalls
from polyarch.sandbox.host import is_emulated

# The maximum number of lines of a map (user_namespaces(7), since Linux 4.15).
_MAP_LINES = 340
_UIDMAP_HINT = "install the package uidmap (newuidmap and newgidmap)"
_SUBID_HINT = "give the user a range with: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"


class Entered(msgspec.Struct, frozen=True):
    """The result of `enter`. `warnings` are messages for the user, each of one or more lines."""

    warnings: tuple[str, ...] = ()


class _IdMap(msgspec.Struct, frozen=True):
    """One line of /proc/PID/uid_map: `count` ids from `inside` are those from `outside` in the parent."""

    inside: int
    outside: int
    count: int

    def __str__(self) -> str:
        return f"{self.inside} {self.outside} {self.count}"


# How long a thread that has ended may still be listed by the kernel, in seconds.
_PATIENCE = 2.0

_entered: Entered | None = None


def entered() -> bool:
    """Return whether this process has called `enter()`."""
    return _entered is not None


def enter(search_path: str) -> Entered:
    """Move this process into a user namespace where it is root, and a mount namespace of its own.

    Root keeps all its ids; any other user is root there and also has the ids in /etc/subuid and /etc/subgid. Later
    calls do nothing. Raises UnsupportedError, with the setting or package that helps, if another thread is running or
    the system does not allow it; the process must then not run anything.
    """
    global _entered
    if _entered is None:
        # Other threads would stay in the old namespace (unshare(2): CLONE_NEWUSER needs a single thread).
        threads = running_threads()
        if threads != 1 and is_emulated():
            raise UnsupportedError(
                "no user namespace: an emulator runs this program, and has a thread of its own",
                "use Polyarch's image for this machine's own processor: it builds for the others",
            )
        if threads != 1:
            raise UnsupportedError(f"cannot enter a user namespace while {threads - 1} other threads run")
        warnings: tuple[str, ...] = ()
        if os.geteuid() == 0:
            uids, gids = _own_map("uid_map"), _own_map("gid_map")
        else:
            uids, gids, warnings = _user_maps(search_path)
        _unshare(uids, gids, search_path)
        # Mounts made here must not appear on the host; later mounts of the host may appear here.
        _explained(
            lambda: syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_SLAVE),
            "cannot make the mounts of the new namespace private",
        )
        _entered = Entered(warnings)
    return _entered


def running_threads() -> int:
    """The number of threads of this process, without those that have ended.

    Python's `join` returns when a thread has run its last Python code. The kernel ends it and takes it off the list
    after that, which takes some milliseconds on a busy machine.
    """
    import threading
    import time

    until = time.monotonic() + _PATIENCE
    while (found := len(os.listdir("/proc/self/task"))) > threading.active_count() and time.monotonic() < until:
        time.sleep(0.001)
    return found


def _own_map(name: str) -> tuple[_IdMap, ...]:
    """Return a map of all ids of this process to themselves, as the parent namespace calls them."""
    with open(f"/proc/self/{name}", encoding="ascii") as lines:
        ranges = [tuple(int(word) for word in line.split()) for line in lines]
    maps = [_IdMap(inside, inside, count) for inside, _, count in ranges]
    if len(maps) == 1 and maps[0].count > 1:
        # crun and runc recognize the initial namespace by a single line for all ids, and would then create device
        # nodes, which is forbidden here. Two lines have the same effect.
        first, count = maps[0].inside, maps[0].count
        maps = [_IdMap(first, first, 1), _IdMap(first + 1, first + 1, count - 1)]
    return tuple(maps[:_MAP_LINES])


def _user_maps(search_path: str) -> tuple[tuple[_IdMap, ...], tuple[_IdMap, ...], tuple[str, ...]]:
    import pwd
    import shutil

    uid, gid = os.geteuid(), os.getegid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    single = (_IdMap(0, uid, 1),), (_IdMap(0, gid, 1),)
    effect = "only files owned by root can be created; steps that change owner or user will fail"
    missing = [tool for tool in ("newuidmap", "newgidmap") if shutil.which(tool, path=search_path) is None]
    if missing:
        return *single, (f"{' and '.join(missing)} not found: {effect}\n{_UIDMAP_HINT}",)
    subuids, subgids = _subordinate("/etc/subuid", name, uid), _subordinate("/etc/subgid", name, uid)
    if not subuids or not subgids:
        hint = _SUBID_HINT.format(user=name)
        return *single, (f"{name} has no range of ids in /etc/subuid and /etc/subgid: {effect}\n{hint}",)
    return _with_ranges(uid, subuids), _with_ranges(gid, subgids), ()


def _subordinate(path: str, name: str, uid: int) -> list[tuple[int, int]]:
    """Return the (first, count) ranges that subuid(5) gives a user, by name or by number."""
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            fields = [line.strip().split(":") for line in lines]
    except FileNotFoundError:
        return []
    return [
        (int(first), int(count))
        for owner, first, count in (entry for entry in fields if len(entry) == 3)
        if owner in (name, str(uid)) and first.isdecimal() and count.isdecimal() and int(count)
    ]


def _with_ranges(own: int, ranges: list[tuple[int, int]]) -> tuple[_IdMap, ...]:
    maps, inside = [_IdMap(0, own, 1)], 1
    for first, count in ranges[: _MAP_LINES - 1]:
        maps.append(_IdMap(inside, first, count))
        inside += count
    return tuple(maps)


def _unshare(uids: tuple[_IdMap, ...], gids: tuple[_IdMap, ...], search_path: str) -> None:
    parent = os.getpid()
    ready, go = os.pipe()
    answer, report = os.pipe()
    helper = os.fork()
    if helper == 0:
        # The child makes only system calls, calls _write_maps and ends with os._exit, so its copies of the caller's
        # buffers and handlers are never used.
        status = 1
        try:
            os.close(go)
            os.close(answer)
            if os.read(ready, 1):
                message = _write_maps(parent, uids, gids, search_path)
                os.write(report, message.encode())
                status = 0
        finally:
            os._exit(status)
    os.close(ready)
    os.close(report)
    try:
        _explained(
            lambda: syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS), "cannot make a user namespace"
        )
        os.write(go, b"1")
        with open(answer, encoding="utf-8", errors="replace", closefd=False) as reader:
            message = reader.read()
    finally:
        os.close(go)
        os.close(answer)
        _, status = os.waitpid(helper, 0)
    if message or status:
        raise MachineError(
            f"cannot write the id maps of the user namespace: {message or 'the helper failed'}", _restriction()
        )


def _write_maps(pid: int, uids: tuple[_IdMap, ...], gids: tuple[_IdMap, ...], search_path: str) -> str:
    """Write the maps of `pid` from its parent namespace. Return an error message, or an empty string."""
    if len(uids) > 1 and os.geteuid() != 0:
        return _run_newidmap("newuidmap", pid, uids, search_path) or _run_newidmap("newgidmap", pid, gids, search_path)
    try:
        if os.geteuid() != 0:
            # Without privileges a gid map may be written only after this (user_namespaces(7)).
            _write(f"/proc/{pid}/setgroups", "deny")
        _write(f"/proc/{pid}/gid_map", "\n".join(map(str, gids)))
        _write(f"/proc/{pid}/uid_map", "\n".join(map(str, uids)))
    except OSError as error:
        return f"{error.filename or '/proc'}: {error.strerror}"
    return ""


def _run_newidmap(tool: str, pid: int, maps: tuple[_IdMap, ...], search_path: str) -> str:
    import shutil
    import subprocess

    path = shutil.which(tool, path=search_path)
    if path is None:
        return f"{tool} not found; {_UIDMAP_HINT}"
    words = [word for line in maps for word in str(line).split()]
    done = subprocess.run([path, str(pid), *words], capture_output=True, text=True, errors="replace", check=False)
    return "" if done.returncode == 0 else done.stderr.strip() or f"{tool} exited with {done.returncode}"


def _write(path: str, text: str) -> None:
    # The kernel accepts only one write, with the whole map.
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(descriptor)


def _explained(call: Callable[[], None], what: str) -> None:
    try:
        call()
    except OSError as error:
        hint = _restriction()
        if hint is None and error.errno in (errno.ENOSPC, errno.EUSERS):
            hint = "too many user namespaces, or too deeply nested: see sysctl user.max_user_namespaces"
        if hint is None and error.errno in (errno.EPERM, errno.EACCES):
            hint = (
                "inside a container, the seccomp profile may forbid this: start the container with "
                "--security-opt seccomp=unconfined, or --privileged"
            )
        if hint is None and error.errno in (errno.ENOSYS, errno.EINVAL):
            hint = "the kernel is built without user namespaces (CONFIG_USER_NS)"
        raise MachineError(f"{what}: {error.strerror}", hint) from error


def _restriction() -> str | None:
    """Return the command that lifts this system's restriction on user namespaces, if it has a known one."""
    if _setting("/proc/sys/user/max_user_namespaces") == "0":
        return "user namespaces are switched off; allow them with: sudo sysctl user.max_user_namespaces=15000"
    if os.geteuid() == 0 and not entered():
        return None
    if _setting("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "allow user namespaces without root with: sudo sysctl kernel.unprivileged_userns_clone=1"
    if _setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor restricts user namespaces (Ubuntu 23.10 and later); allow them with: "
            "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        )
    return None


def _setting(path: str) -> str:
    with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
        return file.read().strip()
    return ""
