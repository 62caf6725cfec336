"""Which platforms this machine runs: natively, or by an emulator registered for this namespace alone."""

import contextlib
import errno
import os
import threading
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from polyarch.errors import PolyarchError, UnsupportedError
from polyarch.oci import platform as platforms
from polyarch.oci.platform import Platform
from polyarch.sandbox import emulators, namespaces, probe, syscalls
from polyarch.sandbox.binfmt import BinfmtTable, host_emulators
from polyarch.sandbox.host import host_platform
from polyarch.sandbox.mounts import Bind

# The architectures, beside its own, whose programs a kernel of this one may run on the bare processor.
_SIBLINGS = {"amd64": ("386",), "arm64": ("arm",)}
_VARIANTS = {"amd64": ("v2", "v3", "v4"), "arm": ("v7", "v6", "v5")}
_LEAST = {"arm": "v5"}
_HINT = "install the package qemu-user-static"
# A probe takes a few milliseconds; an emulator that hangs is as good as none.
_PATIENCE_MILLISECONDS = 10_000

# One for the process, as its namespace is. `_table` is None until something is registered in it.
_lock = threading.Lock()
_table: BinfmtTable | None = None
_examined = False
_registered: dict[str, str] = {}
_refused: dict[str, str] = {}
# Why programs of an architecture run by an emulator that reads their variables; empty where it does not.
_isolated: dict[str, str] = {}
_proved: set[Platform] = set()
_native: dict[Platform, bool] = {}


class Support(msgspec.Struct, frozen=True):
    """What was found out about one platform.

    `emulator` is the path of the file that does it where `how` is "emulated"; `hint` says what would help where it
    is "missing".
    """

    platform: Platform
    how: Literal["native", "emulated", "missing"]
    emulator: str = ""
    hint: str = ""


def host_platforms() -> tuple[Platform, ...]:
    """The host's platform and the others that its processor and kernel run; proved by running."""
    host = host_platform()
    others = [
        Platform(os="linux", architecture=architecture, variant=variant)
        for architecture in (host.architecture, *_SIBLINGS.get(host.architecture, ()))
        for variant in _VARIANTS.get(architecture, ("",))
    ]
    return (host, *(each for each in others if each != host and runs_natively(each)))


def runs_natively(platform: Platform) -> bool:
    """Whether the processor and kernel run programs of `platform` by themselves; proved by running one, once."""
    wanted = platforms.normalize(platform)
    host = host_platform()
    if wanted.architecture not in (host.architecture, *_SIBLINGS.get(host.architecture, ())):
        return False
    if wanted not in _native:
        # A sibling's program may run because the host has registered an emulator for it.
        emulated = wanted.architecture != host.architecture and wanted.architecture in host_emulators()
        _native[wanted] = not emulated and _runs(wanted)
    return _native[wanted]


def find_emulator(platform: Platform, search_path: str) -> str | None:
    """The path of a static qemu for `platform` on `search_path` (directories joined by colons)."""
    return emulators.find(platforms.normalize(platform).architecture, search_path)


def register_all(search_path: str) -> None:
    """Registers every emulator that this machine has in this process's namespace, which is entered; once.

    So what a program of this or another platform may start does not depend on what else was asked for. Where that
    would hide emulators of the host which are no files that can be found here, the host's table is left in force.
    """
    global _examined
    with _lock:
        if _examined:
            return
        _examined = True
        hosts = {name: path for name, path in host_emulators().items() if not _is_native(name)}
        found = {name: emulators.find(name, search_path) or _usable(hosts.get(name, "")) for name in emulators.QEMU}
        if all(found.get(name) for name in hosts):
            for name, path in found.items():
                if path and not _is_native(name):
                    _register(name, path)


def prepare(platform: Platform, search_path: str, copies: emulators.EmulatorCopies | None = None) -> Support:
    """Makes `platform` run in this process's namespace, which is entered. Safe from many threads, cheap if repeated.

    With `copies`, by an emulator that reads no variables of what it runs. Raises UnsupportedError naming what is
    missing.
    """
    found = _prepare(platforms.normalize(platform), search_path, copies)
    if found.how == "missing":
        raise UnsupportedError(f"this machine cannot run programs of {platform}", found.hint)
    return found


def isolate(copies: emulators.EmulatorCopies) -> None:
    """What is registered reads no variables any more, as far as that can be had."""
    with _lock:
        for architecture in _registered:
            _isolate(architecture, copies)


def why_not_isolated(architecture: str) -> str:
    """Why the emulator of `architecture`, which was prepared, reads variables of what it runs; empty if it does not."""
    with _lock:
        return _isolated.get(architecture, "it is the host's registration, and one of our own needs Linux 6.7 or later")


def is_runnable(architecture: str) -> bool:
    """Whether programs of `architecture` (GOARCH) run in this process's namespace as it is now."""
    with _lock:
        if architecture in _registered:
            return True
    return _runs(
        platforms.normalize(Platform(os="linux", architecture=architecture, variant=_LEAST.get(architecture, "")))
    )


def support(wanted: Iterable[Platform], search_path: str) -> tuple[Support, ...]:
    """What this machine can run, proved by a tiny static program of each platform.

    Changes nothing here: unless this process has entered its namespace, a child does.
    """
    listed = tuple(dict.fromkeys(platforms.normalize(each) for each in wanted))
    if namespaces.entered():
        return tuple(_prepare(each, search_path) for each in listed)
    answer, report = os.pipe()
    child = os.fork()
    if child == 0:
        # As in namespaces: system calls and our own code, then os._exit.
        try:
            os.close(answer)
            found = _in_a_namespace(listed, search_path)
            with open(report, "wb") as writer:
                writer.write(msgspec.msgpack.encode(found))
        finally:
            os._exit(0)
    os.close(report)
    with open(answer, "rb") as reader:
        raw = reader.read()
    os.waitpid(child, 0)
    if not raw:
        raise PolyarchError("finding out which platforms run here failed")
    return msgspec.msgpack.decode(raw, type=tuple[Support, ...])


def _in_a_namespace(wanted: tuple[Platform, ...], search_path: str) -> tuple[Support, ...]:
    try:
        namespaces.enter(search_path)
    except UnsupportedError as error:
        reason = f"{error.message}; {error.hint}" if error.hint else error.message
        return tuple(_without_a_table(each, reason) for each in wanted)
    return tuple(_prepare(each, search_path) for each in wanted)


def _prepare(platform: Platform, search_path: str, copies: emulators.EmulatorCopies | None = None) -> Support:
    if runs_natively(platform):
        return Support(platform, "native")
    architecture = platform.architecture
    if architecture not in probe.MACHINES or platform.os != "linux":
        return Support(platform, "missing", hint="there is no emulator for it")
    if architecture == host_platform().architecture:
        # An entry for it would take over every one of them.
        return Support(platform, "missing", hint="this machine's processor does not support this variant")
    register_all(search_path)
    with _lock:
        if architecture not in _registered and (_table is not None or architecture not in host_emulators()):
            emulator = emulators.find(architecture, search_path)
            if emulator is None:
                return _without_a_table(platform, f"{_HINT} (it brings qemu-{emulators.QEMU[architecture]}-static)")
            _register(architecture, emulator)
        if architecture not in _registered:
            reason = _refused.get(architecture, "the host's registration is in force")
            return _without_a_table(platform, f"{reason}; or {_HINT} and binfmt-support on the host")
        if copies is not None:
            _isolate(architecture, copies)
        emulator = _registered[architecture]
    # Starting an emulator takes 10 ms and more, so each platform is proved once.
    if platform not in _proved and not _runs(platform):
        return Support(platform, "missing", hint=f"{emulator} does not run a program of it: a newer qemu may")
    _proved.add(platform)
    return Support(platform, "emulated", emulator)


def _without_a_table(platform: Platform, reason: str) -> Support:
    """What is left where nothing can be registered: the processor, and what the host has registered."""
    if runs_natively(platform):
        return Support(platform, "native")
    if _table is None and _runs(platform):
        return Support(platform, "emulated", host_emulators().get(platform.architecture, ""))
    return Support(platform, "missing", hint=reason)


def _register(architecture: str, emulator: str) -> None:
    """Registers `emulator`, or writes down why that is not possible. The lock is held."""
    global _table
    try:
        if _table is None:
            _table = BinfmtTable()
        _table.register(f"polyarch-{architecture}", architecture, emulator)
    except OSError as error:
        _refused[architecture] = f"registering an emulator needs Linux 6.7 or later, or root: {error.strerror}"
        return
    _registered[architecture] = emulator
    _isolated[architecture] = "no copy of it was made"


def _isolate(architecture: str, copies: emulators.EmulatorCopies) -> None:
    """Registers a copy that reads no variables over the emulator of `architecture`. The lock is held."""
    if not _isolated[architecture] or _table is None:
        return
    try:
        # Another process may have put a copy of a newer emulator in the place of this one.
        for _ in range(2):
            with contextlib.suppress(FileNotFoundError):
                with _shown_as(copies.copy(_registered[architecture]), _registered[architecture]) as path:
                    _table.register(f"polyarch-{architecture}-isolated", architecture, path)
                _isolated[architecture] = ""
                return
        _isolated[architecture] = "its copy was removed"
    except UnsupportedError as error:
        _isolated[architecture] = error.message
    except OSError as error:
        reason = error.strerror
        if error.errno == errno.EACCES and copies.forbids_execution():
            reason = "the filesystem of the store is mounted noexec"
        _isolated[architecture] = f"no copy of it could be made: {reason}"


@contextlib.contextmanager
def _shown_as(copy: str, emulator: str) -> Iterator[str]:
    """The path of an emulator under which its copy lies meanwhile, in this process's mount namespace.

    Every process that is emulated has this path as the first word of its command line. That of the copy would tell
    where this user's store is, and differ from machine to machine.
    """
    try:
        Bind(copy, emulator).perform()
    except FileNotFoundError:
        raise
    except OSError:
        yield copy
        return
    try:
        yield emulator
    finally:
        syscalls.umount(emulator, syscalls.MNT_DETACH)


def _is_native(architecture: str) -> bool:
    """Whether an emulator would take programs of `architecture` from this machine's own processor."""
    return runs_natively(Platform(os="linux", architecture=architecture, variant=_LEAST.get(architecture, "")))


def _usable(interpreter: str) -> str | None:
    """What the host has registered, if it is a file of this machine that may be registered again."""
    try:
        return interpreter if os.access(interpreter, os.X_OK) and emulators.is_static(interpreter) else None
    except OSError:
        return None


def _runs(platform: Platform) -> bool:
    """Whether the kernel, as this process's namespace has it now, runs the platform's probe to its end."""
    import select
    import signal

    program = probe.executable(platform)
    if program is None:
        return False
    file = syscalls.memory_file("probe", program)
    path = f"/proc/self/fd/{file}"
    quiet = [(os.POSIX_SPAWN_OPEN, stream, "/dev/null", os.O_RDWR, 0) for stream in (0, 1, 2)]
    try:
        child = os.posix_spawn(path, [path], {}, file_actions=quiet)
    except OSError:
        return False
    finally:
        os.close(file)
    end = os.pidfd_open(child)
    try:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        if not poll.poll(_PATIENCE_MILLISECONDS):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    finally:
        os.close(end)
    return status == 0
