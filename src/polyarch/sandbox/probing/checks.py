"""What probes do, and what their results mean: functions that add to a program, and functions that judge.

A judging function returns in a few words what is not as on a real machine, or an empty string.
"""

import struct
from collections.abc import Callable

from polyarch.sandbox.probing import startup
from polyarch.sandbox.probing.program import (
    AT_FDCWD,
    CLOSE_ON_EXEC,
    EXECUTE,
    FIXED,
    PRIVATE,
    READ,
    SHARED,
    WRITE,
    Program,
    Results,
    Word,
)

# The files of the root file system in which the program runs, besides itself, PROGRAM. Those below DIRECTORY are empty.
PROGRAM, EXIT, SET_USER, DIRECTORY = "/probe", "/exit", "/set-user", "/directory"
USER = 7
_MEMORY = 0x20000000
_ALARM = 14  # SIGALRM
_LAST = 64  # SIGRTMAX
_INTERRUPTED, _EXISTS, _NO_MEMORY, AGAIN, REFUSED = -4, -17, -12, -11, -1
_WRITING = 1  # O_WRONLY
_BOTH = 2  # O_RDWR
_LIMIT = 1 << 30
# A second in the year 2046, of which 32 bits hold 31.
_LATE = 0x90000000
# The bytes of /proc/cpuinfo that name the processor, not how fast it is now.
_SIMILAR = 40
_INODE, _MODIFIED = 0x20, 0x70  # in struct statx
_CALLS: dict[str, tuple[int, ...]] = {
    "clone3": (0, 0),
    "close_range": (1, 0, 0),
    "copy_file_range": (-1, 0, -1, 0, 0, 0),
    "epoll_pwait2": (-1, 0, 0, 0, 0),
    "faccessat2": (-1, 0, 0, 0),
    "futex_waitv": (0, 0, 0, 0, 0),
    "io_uring_setup": (0, 0),
    "landlock_create_ruleset": (0, 0, 0),
    "openat2": (-1, 0, 0, 0),
    "pidfd_open": (0, 0),
    "rseq": (0, 0, 0, 0),
    "userfaultfd": (-1,),
}


def _open(program: Program, path: str, flags: int = 0, keep: str = "file") -> Word:
    program.call("openat", AT_FDCWD, program.text(path), flags, 0o644, keep=keep)
    return Word(program.result(keep))


def _read(program: Program, path: str, name: str, size: int) -> None:
    program.call("read", _open(program, path, keep=f"{name} file"), program.result(name, size), size)


def _reads_zero(program: Program, address: int, keep: str) -> None:
    """Compare a 32-bit number with 0: FUTEX_WAIT returns EAGAIN if it is another one."""
    program.call("futex", address, 0, 0, program.words(0, 1_000_000), keep=keep)


def _in_child(program: Program, name: str, body: Callable[[], None]) -> None:
    """Do something in a child of the probe, and keep the status that wait4 gives."""
    program.clone(program.constants.child_signal)
    program.jump_unless_zero(f"{name} waits")
    body()
    program.call("exit_group", 90)
    program.label(f"{name} waits")
    program.keep(f"{name} child")
    program.call("wait4", Word(program.result(f"{name} child")), program.result(f"{name} status", 4), 0, 0)


def _exec(program: Program, path: str) -> None:
    empty = program.words(0)
    name = program.text(path)
    program.call("execve", name, program.words(name, 0), empty)


def signals(program: Program) -> None:
    startup.signal(program)
    program.handle(_ALARM, program.handler("alarm handler", "alarmed"))
    program.call("setitimer", 0, program.words(0, 0, 0, 20_000), 0)
    program.call("nanosleep", program.words(1, 0), 0, keep="slept")


def signals_differ(results: Results) -> str:
    if not startup.has_signals(results):
        return "a handler is not called"
    return "" if results["alarmed"] and results["slept"] == _INTERRUPTED else "SIGALRM does not end a sleep"


def vfork(program: Program) -> None:
    shared = program.words(0)
    late = program.machine.order == ">" and program.word == 8
    program.clone(0x100 | 0x4000 | program.constants.child_signal)  # CLONE_VM | CLONE_VFORK
    program.jump_unless_zero("vfork parent")
    program.call("getpid")
    program.store(shared)
    program.call("exit_group", 0)
    program.label("vfork parent")
    _reads_zero(program, shared + (4 if late else 0), "vfork")


def fexecve(program: Program) -> None:
    file = _open(program, EXIT, CLOSE_ON_EXEC, keep="exit file")

    def body() -> None:
        empty = program.words(0)
        program.call("execveat", file, program.text(""), empty, empty, 0x1000, keep="execveat")

    _in_child(program, "fexecve", body)


def fexecve_differs(results: Results) -> str:
    # Without execveat, C libraries open /proc/self/fd.
    return "fails for a file that is closed on exec" if results["execveat"] == -2 else ""


def set_user(program: Program) -> None:
    def body() -> None:
        program.call("setuid", USER)
        _exec(program, SET_USER)

    _in_child(program, "setuid", body)


def executable(program: Program) -> None:
    path = program.text("/proc/self/exe")
    program.call("readlinkat", AT_FDCWD, path, program.result("link", 64), 63)
    for name, address in (("itself", path), ("file itself", program.text(PROGRAM))):
        program.call("statx", AT_FDCWD, address, 0, startup.BASIC_STATS, program.result(name, 256))


def executable_differs(results: Results) -> str:
    if results.bytes_of("link").rstrip(b"\0") != PROGRAM.encode():
        return "readlink gives another program"
    inodes = {results.bytes_of(name)[_INODE : _INODE + 8] for name in ("itself", "file itself")}
    return "stat sees the emulator" if len(inodes) > 1 else ""


def late_time(program: Program) -> None:
    path = program.text("/stamp")
    _open(program, "/stamp", program.constants.creating | _WRITING)
    times = program.data(struct.pack(f"{program.machine.order}4Q", _LATE, 0, _LATE, 0))
    program.call("utimensat", AT_FDCWD, path, times, 0, keep="utimensat")
    program.call("statx", AT_FDCWD, path, 0, startup.BASIC_STATS, program.result("stamp", 256))


def late_time_differs(results: Results) -> str:
    if results["utimensat"]:
        return "utimensat fails"
    raw = results.bytes_of("stamp")[_MODIFIED : _MODIFIED + 8]
    return "" if struct.unpack(f"{results.order}q", raw)[0] == _LATE else "a file gets another time"


def directories(program: Program) -> None:
    file = _open(program, DIRECTORY)
    program.call("getdents64", file, program.result("entries", 2048), 2048, keep="entries size")


def directories_differ(results: Results) -> str:
    # struct linux_dirent64: the inode, the offset of the next entry, the size of this one
    raw, at, offsets = results.bytes_of("entries"), 0, []
    while at < results["entries size"]:
        offset, size = struct.unpack_from(f"{results.order}qH", raw, at + 8)
        offsets.append(offset)
        at += size
    # The last one of ext4 is the largest number; others count entries.
    return "entries have offsets of 64 bits" if any(offset > 0x7FFFFFFF for offset in offsets[:-1]) else ""


def large_files(program: Program) -> None:
    large = 0o400000 if program.architecture == "arm" else 0o100000  # O_LARGEFILE
    file = _open(program, "/large", program.constants.creating | _BOTH | large)
    program.call("_llseek", file, 1, 0, program.result("position", 8), 0)
    program.call("write", file, program.words(-1), 4, keep="large written")
    program.map(_MEMORY, 4096, READ, SHARED | FIXED, file, page=1 << 20, keep="large map")
    _reads_zero(program, _MEMORY, "large read")


def large_files_differ(results: Results) -> str:
    if results["large written"] != 4:
        return "a file cannot be larger than 4 GiB"
    return "" if results["large read"] == AGAIN else "mmap beyond 4 GiB shows another part of the file"


def maps(program: Program) -> None:
    for name in ("first map", "second map"):
        program.map(_MEMORY, 0x10000, READ | WRITE, PRIVATE | 0x100000, keep=name)  # MAP_FIXED_NOREPLACE
    program.call("msync", 0x70000000, 4096, 1, keep="msync")


def maps_differ(results: Results) -> str:
    found = []
    if results["second map"] != _EXISTS:
        found.append("MAP_FIXED_NOREPLACE replaces memory")
    if results["msync"] != _NO_MEMORY:
        found.append("msync succeeds where no memory is")
    return ", ".join(found)


def new_code(program: Program) -> None:
    code = program.exiting(3)
    source = program.data(code)
    program.map(_MEMORY, 0x10000, READ | WRITE, PRIVATE | FIXED, keep="jit map")
    file = _open(program, PROGRAM, keep="jit file")
    program.call("lseek", file, program.offset(source), 0)
    program.call("read", file, _MEMORY, len(code))
    program.call("mprotect", _MEMORY, 0x10000, READ | EXECUTE, keep="jit protection")
    program.jump_to(_MEMORY)


def limits(program: Program) -> None:
    kind = program.constants.address_space
    limit = program.data(struct.pack(f"{program.machine.order}2Q", _LIMIT, _LIMIT))
    program.call("prlimit64", 0, kind, limit, 0)
    program.call("prlimit64", 0, kind, 0, program.result("limits", 16))


def limits_differ(results: Results) -> str:
    found = struct.unpack(f"{results.order}2Q", results.bytes_of("limits"))
    return "" if found == (_LIMIT, _LIMIT) else "RLIMIT_AS is accepted and not kept"


def processor_differs(results: Results) -> str:
    with open("/proc/cpuinfo", "rb") as file:
        own = file.read(_SIMILAR)
    return "shows the host's processor" if results.bytes_of("cpuinfo").startswith(own) else ""


def last_signal(program: Program) -> None:
    program.handle(_LAST, program.handler("last handler", "last handled"))
    program.call("getpid", keep="last self")
    program.call("kill", Word(program.result("last self")), _LAST)


def newer_calls(program: Program) -> None:
    for name, arguments in _CALLS.items():
        program.call(name, *arguments, keep=name)


def newer_calls_differ(results: Results) -> str:
    absent = [name for name in _CALLS if results[name] in (-38, -89)]
    refused = [name for name in _CALLS if results[name] == REFUSED]
    parts = [f"absent: {', '.join(absent)}"] if absent else []
    return "; ".join([*parts, f"refused: {', '.join(refused)}"] if refused else parts)


def statistics(results: Results) -> str:
    fields = results.bytes_of("own stat").rpartition(b")")[2].split()
    return "says 0 for process group and memory" if fields[2:3] == [b"0"] else ""


def one_thread(results: Results) -> str:
    return "" if b"\nThreads:\t1\n" in results.bytes_of("own status") else "shows a second thread, of the emulator"


def single(name: str, *arguments: int) -> Callable[[Program], None]:
    return lambda program: program.call(name, *arguments, keep=name)


def fails(name: str) -> Callable[[Results], str]:
    def differs(results: Results) -> str:
        if not results[name]:
            return ""
        return {-38: "is not implemented", -89: "is not implemented", -22: "is refused: invalid argument"}.get(
            results[name], f"fails with error {-results[name]}"
        )

    return differs


def content_of(path: str, name: str, size: int) -> Callable[[Program], None]:
    return lambda program: _read(program, path, name, size)
