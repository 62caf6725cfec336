"""Which platforms this machine runs: natively, or by an emulator registered for this namespace alone.

Since Linux 6.7 each user namespace may have a binfmt_misc of its own, which hides its parents'. It is mounted nowhere:
a detached mount, held by a file descriptor for as long as this process lives, is enough.
"""

import os
import threading
from collections.abc import Iterable
from typing import Literal

import msgspec

from polyarch.errors import PolyarchError, UnsupportedError
from polyarch.oci import platform as platforms
from polyarch.oci.platform import Platform
from polyarch.sandbox import namespaces, probe, syscalls
from polyarch.sandbox.host import host_platform

# What qemu calls an architecture (GOARCH).
_QEMU = {
    "amd64": "x86_64",
    "386": "i386",
    "arm": "arm",
    "arm64": "aarch64",
    "riscv64": "riscv64",
    "ppc64le": "ppc64le",
    "ppc64": "ppc64",
    "s390x": "s390x",
    "mips64": "mips64",
    "mips64le": "mips64el",
    "loong64": "loongarch64",
}
# The architectures, beside its own, whose programs a kernel of this one may run on the bare processor.
_SIBLINGS = {"amd64": ("386",), "arm64": ("arm",)}
_VARIANTS = {"amd64": ("v2", "v3", "v4"), "arm": ("v7", "v6", "v5")}
_LEAST = {"arm": "v5"}
_HINT = "install the package qemu-user-static"
_HOST_TABLE = "/proc/sys/fs/binfmt_misc"
# A probe takes a few milliseconds; an emulator that hangs is as good as none.
_PATIENCE_MILLISECONDS = 10_000

# The binfmt_misc of this process's namespace: one for the process, as the namespace is.
_lock = threading.Lock()
_table: int | None = None
_registered: dict[str, str] = {}
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
        emulated = wanted.architecture != host.architecture and _host_emulator(wanted.architecture) is not None
        _native[wanted] = not emulated and _runs(wanted)
    return _native[wanted]


def find_emulator(platform: Platform, search_path: str) -> str | None:
    """The path of a static qemu for `platform` on `search_path` (directories joined by colons)."""
    name = _QEMU.get(platforms.normalize(platform).architecture)
    if name is None:
        return None
    for word in (f"qemu-{name}-static", f"qemu-{name}"):
        for directory in search_path.split(":"):
            path = os.path.join(directory, word)
            if directory.startswith("/") and os.access(path, os.X_OK) and _is_static(path):
                return os.path.realpath(path)
    return None


def _is_static(path: str) -> bool:
    """Whether an ELF program names no interpreter: a dynamic one would look for its own inside the container."""
    with open(path, "rb") as file:
        head = file.read(64)
        if head[:4] != b"\x7fELF" or len(head) < 64:
            return False
        order: Literal["little", "big"] = "little" if head[5] == 1 else "big"
        wide = head[4] == 2
        table = int.from_bytes(head[32:40] if wide else head[28:32], order)
        size = int.from_bytes(head[54:56] if wide else head[42:44], order)
        count = int.from_bytes(head[56:58] if wide else head[44:46], order)
        file.seek(table)
        segments = file.read(size * count)
    kinds = {int.from_bytes(segments[at : at + 4], order) for at in range(0, len(segments), size or 1)}
    return 3 not in kinds  # PT_INTERP


def prepare(platform: Platform, search_path: str) -> Support:
    """Makes `platform` run in this process's namespace, which is entered. Safe from many threads, cheap if repeated.

    Raises UnsupportedError naming what is missing.
    """
    found = _prepare(platforms.normalize(platform), search_path)
    if found.how == "missing":
        raise UnsupportedError(f"this machine cannot run programs of {platform}", found.hint)
    return found


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


def _prepare(platform: Platform, search_path: str) -> Support:
    if runs_natively(platform):
        return Support(platform, "native")
    architecture = platform.architecture
    if architecture not in probe.MACHINES or platform.os != "linux":
        return Support(platform, "missing", hint="there is no emulator for it")
    if architecture == host_platform().architecture:
        # An emulator for the host's own programs would take over every one of them.
        return Support(platform, "missing", hint="this machine's processor is older than this variant")
    with _lock:
        if architecture not in _registered:
            emulator = find_emulator(platform, search_path)
            if emulator is None:
                return _without_a_table(platform, f"{_HINT} (it brings qemu-{_QEMU[architecture]}-static)")
            try:
                _register(architecture, emulator)
            except OSError as error:
                reason = f"registering an emulator needs Linux 6.7 or later, or root: {error.strerror}"
                return _without_a_table(platform, f"{reason}; or {_HINT} and binfmt-support on the host")
            _registered[architecture] = emulator
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
        return Support(platform, "emulated", _host_emulator(platform.architecture) or "")
    return Support(platform, "missing", hint=reason)


def _register(architecture: str, emulator: str) -> None:
    """Registers `emulator` in this namespace's own table. Raises OSError before Linux 6.7."""
    global _table
    if _table is None:
        context = syscalls.fsopen("binfmt_misc")
        try:
            _table = syscalls.fsmount(context, "binfmt_misc")
        finally:
            os.close(context)
    magic, mask = ("".join(f"\\x{byte:02x}" for byte in part) for part in probe.pattern(architecture))
    # F: the emulator is opened now, so that a root filesystem need not have it. P: it is told argv[0]. O: it is given
    # the program as an open file. C: setuid programs keep their meaning, which sudo in an image needs.
    line = f":polyarch-{architecture}:M::{magic}:{mask}:{emulator}:FPOC"
    register = os.open("register", os.O_WRONLY | os.O_CLOEXEC, dir_fd=_table)
    try:
        os.write(register, line.encode())
    finally:
        os.close(register)


def _host_emulator(architecture: str) -> str | None:
    """The interpreter that the host has registered for programs of `architecture`, if it has."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as lines:
        # Only where it is mounted already: looking into an automount point would mount it on the host.
        if not any(f" {_HOST_TABLE} " in line and " - binfmt_misc " in line for line in lines):
            return None
    head = probe.pattern(architecture)[0]
    for name in sorted(os.listdir(_HOST_TABLE)):
        if name in ("register", "status"):
            continue
        with open(f"{_HOST_TABLE}/{name}", encoding="utf-8", errors="replace") as file:
            entry = file.read().splitlines()
        fields = dict(line.split(" ", 1) for line in entry if " " in line)
        magic = bytes.fromhex(fields.get("magic", ""))
        mask = bytes.fromhex(fields.get("mask", "ff" * len(magic)))
        usable = "enabled" in entry and magic and fields.get("offset", "0") == "0" and len(magic) <= len(head)
        if usable and all(a & m == b & m for a, b, m in zip(head, magic, mask, strict=False)):
            return fields.get("interpreter", "")
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
