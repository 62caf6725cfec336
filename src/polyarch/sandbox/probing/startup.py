"""Whether a platform's programs can start: the system calls that the start of a current C library makes.

These are what glibc 2.41 and musl 1.2.5 do before and at the first lines of main, in a program that then starts a
thread and handles a signal. A program that only ends itself says less.
"""

import signal as signals

from polyarch.oci.platform import Platform
from polyarch.sandbox.probing.execution import execute
from polyarch.sandbox.probing.program import AT_FDCWD, FIXED, PRIVATE, READ, STACK, WRITE, Program, Results, Word

# CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, PARENT_SETTID and CHILD_CLEARTID: pthread_create without TLS.
THREAD = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000 | 0x100000 | 0x200000
_PLACE = 0x20000000
BASIC_STATS = 0x7FF


def thread(program: Program) -> None:
    """Start a thread that stores its id in the result `thread`, and wait until it ends: `woken`."""
    ends = program.result("thread-id")
    program.clone(THREAD, STACK, ends)
    program.jump_unless_zero("thread started")
    program.call("gettid", keep="thread")
    program.call("exit", 0)
    program.label("thread started")
    program.keep("clone")
    # The kernel clears the id when the thread ends, and wakes who waits for that (FUTEX_WAIT). A second is enough.
    program.call("futex", ends, 0, Word(program.result("clone")), program.words(1, 0))
    program.call("getpid", keep="woken")


def signal(program: Program) -> None:
    """Send this process a signal, whose handler stores something in the result `handled`."""
    handler = program.handler("handler", "handled")
    number = program.constants.user_signal
    program.handle(number, handler, keep="action")
    program.call("getpid", keep="self")
    program.call("kill", Word(program.result("self")), number, keep="kill")


def has_threads(results: Results) -> bool:
    """Whether `thread` did what it should."""
    return results["clone"] > 0 and results["thread"] > 0 and results["woken"] > 0


def has_signals(results: Results) -> bool:
    """Whether `signal` did what it should."""
    return not results["action"] and not results["kill"] and results["handled"] > 0


def program(platform: Platform) -> Program:
    """The program for a normalized platform."""
    made = Program(platform)
    made.call("brk", 0, keep="brk")
    made.call("set_tid_address", made.result("cleared"), keep="set_tid_address")
    # qemu has no robust lists, and the libraries do without, so the result is not looked at.
    made.call("set_robust_list", made.words(0, 0, 0), 3 * made.word)
    made.call("prlimit64", 0, 3, 0, made.result("limit", 16), keep="prlimit64")
    made.call("getrandom", made.result("random", 8), 8, 1, keep="getrandom")
    made.call("statx", AT_FDCWD, made.text("/"), 0, BASIC_STATS, made.result("stat", 256), keep="statx")
    made.map(_PLACE, 0x20000, READ | WRITE, PRIVATE | FIXED, keep="mmap")
    made.call("mprotect", _PLACE, 0x10000, READ, keep="mprotect")
    made.call("rt_sigprocmask", 1, made.words(0, 0, 0, 0), 0, made.constants.signals, keep="rt_sigprocmask")
    signal(made)
    thread(made)
    made.report()
    return made


def missing(platform: Platform) -> str:
    """What programs of a normalized platform lack here, in words; empty if they can start.

    The kernel's table of emulators, in this process's namespace, decides what runs them.
    """
    made = program(platform)
    done = execute(made.image())
    if done is None:
        return "the kernel cannot start them"
    if done.status < 0:
        name = signals.Signals(-done.status).name if -done.status in set(signals.Signals) else f"signal {-done.status}"
        return f"they end with {name}"
    return ", ".join(_absent(made.results(done.output)))


def _absent(results: Results) -> tuple[str, ...]:
    if not results["brk"]:
        return ("they do not start",)
    calls = ("set_tid_address", "prlimit64", "getrandom", "statx", "mprotect", "rt_sigprocmask")
    absent = [f"no {name}" for name in calls if results[name] < 0]
    if results["mmap"] != _PLACE:
        absent.append("no mmap")
    if not has_signals(results):
        absent.append("no signals")
    if not has_threads(results):
        absent.append("no threads")
    return tuple(absent)
