"""What is probed on each platform: what differs from a real machine under some emulator, and stops some build.

Each probe is a piece of one program, and runs in a process of its own. docs/reference/emulated.md lists the programs
that were seen to depend on it.
"""

from collections.abc import Callable

import msgspec

from polyarch.sandbox.probing import checks, startup
from polyarch.sandbox.probing.program import Program, Results


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """A probe: `build` adds it to the program, and `differs` says in a few words what is not as on a real machine.

    `hint` says which programs trip over that, and what helps. `bits` is 32 if only such platforms have the probe;
    `foreign` if only emulated ones have it.
    """

    name: str
    build: Callable[[Program], None]
    differs: Callable[[Results], str]
    hint: str
    bits: int = 0
    foreign: bool = False


PROBES: tuple[Probe, ...] = (
    Probe(
        name="threads",
        build=startup.thread,
        differs=lambda results: "" if startup.has_threads(results) else "a thread does not run",
        hint="nearly every program needs threads: use another emulator",
    ),
    Probe(
        name="signals",
        build=checks.signals,
        differs=checks.signals_differ,
        hint="programs that wait for children or timers hang: use another emulator",
    ),
    Probe(
        name="SIGRTMAX",
        build=checks.last_signal,
        differs=lambda results: "" if results["last handled"] else "is not delivered",
        hint="the emulator keeps the last real-time signals for itself; use SIGRTMIN and those next to it",
    ),
    Probe(
        name="vfork",
        build=checks.vfork,
        differs=lambda results: "is fork" if results["vfork"] != checks.AGAIN else "",
        hint="posix_spawn (Rust's Command) of a program that does not exist succeeds, with status 127: look for the "
        "program in PATH first",
    ),
    Probe(
        name="fexecve",
        build=checks.fexecve,
        differs=checks.fexecve_differs,
        hint="programs that run a sealed copy of themselves (runc) fail: clear FD_CLOEXEC first, or execute by path; "
        "qemu 7.2 does not have this fault",
    ),
    Probe(
        name="setuid",
        build=checks.set_user,
        differs=lambda results: "a setuid program keeps the caller's id" if results["setuid status"] else "",
        hint="sudo and su do not work for other users than root. Register the emulator with the flag C ('polyarch "
        "doctor' has the command), and keep the store on a file system that is not mounted nosuid",
    ),
    Probe(
        name="/proc/self/exe",
        build=checks.executable,
        differs=checks.executable_differs,
        hint="a program that compares itself with a file by stat finds the emulator: open the link, then fstat",
    ),
    Probe(
        name="2038",
        build=checks.late_time,
        differs=checks.late_time_differs,
        hint="dates after 2038 are lost: do not set such times on files (SOURCE_DATE_EPOCH)",
    ),
    Probe(
        name="directories",
        build=checks.directories,
        differs=checks.directories_differ,
        hint="programs that were not built for large files (javac, Apache's IncludeOptional) find no files in "
        "directories: keep the store on tmpfs, xfs or btrfs (POLYARCH_ROOT)",
        bits=32,
    ),
    Probe(
        name="large files",
        build=checks.large_files,
        differs=checks.large_files_differ,
        hint="linkers and databases that map files beyond 4 GiB read wrong data; qemu 10.0 does not have this fault",
        bits=32,
    ),
    Probe(
        name="memory maps",
        build=checks.maps,
        differs=checks.maps_differ,
        hint="garbage collectors and sanitizers that look for free addresses this way may overwrite memory: give them "
        "a fixed heap; qemu 11.1 does not replace memory",
    ),
    Probe(
        name="memory limits",
        build=checks.limits,
        differs=checks.limits_differ,
        hint="tests of ulimit -v and of running out of memory do not end as on a real machine: limit the whole build",
    ),
    Probe(
        name="JIT",
        build=checks.new_code,
        differs=lambda results: "" if results["status of JIT"] == 3 << 8 else "new code does not run",
        hint="node, java, PHP, luajit: switch their compilers off (node --jitless, java -Xint, opcache.jit=off)",
    ),
    Probe(
        name="/proc/cpuinfo",
        build=checks.content_of("/proc/cpuinfo", "cpuinfo", 2048),
        differs=checks.processor_differs,
        foreign=True,
        hint="scripts that choose options by it (-march, NEON, the number of cores per socket) choose those of another "
        "processor: set them yourself",
    ),
    Probe(
        name="personality",
        build=checks.single("personality", 0x0040000),  # ADDR_NO_RANDOMIZE
        differs=lambda results: "setarch -R is refused" if results["personality"] == checks.REFUSED else "",
        hint="AddressSanitizer on ppc64le and gdb ask for fixed addresses; 'RUN --security=insecure' allows it",
    ),
    Probe(
        name="robust mutexes",
        build=lambda program: program.call(
            "set_robust_list", program.words(0, 0, 0), 3 * program.word, keep="robust list"
        ),
        differs=checks.fails("robust list"),
        hint="a process that waits for a mutex whose owner has died waits for ever: run such tests natively",
    ),
    Probe(
        name="ptrace",
        build=checks.single("ptrace", 0, 0, 0, 0),
        differs=checks.fails("ptrace"),
        hint="strace, gdb and the leak check of sanitizers do not work: ASAN_OPTIONS=detect_leaks=0; valgrind works",
    ),
    Probe(
        name="subreaper",
        build=checks.single("prctl", 36, 1, 0, 0, 0),
        differs=checks.fails("prctl"),
        hint="tini -s does not start: leave -s out; qemu 10.0 does not have this fault",
    ),
    Probe(
        name="/proc/self/stat",
        build=checks.content_of("/proc/self/stat", "own stat", 1024),
        differs=checks.statistics,
        hint="programs that measure themselves read 0: /proc/self/status and getrusage are right",
    ),
    Probe(
        name="/proc/self/status",
        build=checks.content_of("/proc/self/status", "own status", 4096),
        differs=checks.one_thread,
        hint="tests that count their threads are wrong by one",
    ),
    Probe(
        name="newer calls",
        build=checks.newer_calls,
        differs=checks.newer_calls_differ,
        hint="configure scripts decide without them, and most programs do with older calls; those that cannot say "
        "'Function not implemented'",
    ),
)
