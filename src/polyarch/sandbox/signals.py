"""Sending signals to the first process of each container.

Its ancestors below this process are the guard (`runtime.Runtime.command`) and the runtime, which is the first process
of the guard's pid namespace. They are found in /proc, without the help of the runtime.
"""

import contextlib
import os
import signal
import termios
from collections.abc import Iterator

from polyarch.errors import UsageError

# Signals that cannot be handled, or that do not end a process which does not handle them (signal(7)).
_WITHOUT_HANDLER = frozenset(
    {signal.SIGKILL, signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT}
    | {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
)


def number(text: str) -> int:
    """The signal that a text names as in docker's flags and STOPSIGNAL: 15, TERM, SIGTERM, RTMIN+3.

    Raises UsageError.
    """
    name, _, offset = text.upper().removeprefix("SIG").partition("+")
    found = 0
    if name.isdecimal() and not offset:
        found = int(name) if len(name) < 3 else 0
    elif name.isalnum() and hasattr(signal, f"SIG{name}") and (not offset or (name == "RTMIN" and offset.isdecimal())):
        found = int(getattr(signal, f"SIG{name}")) + int(offset[:3] or 0)
    elif text.upper().startswith(("SIGRTMAX-", "RTMAX-")) and text.rpartition("-")[2].isdecimal():
        found = signal.SIGRTMAX - int(text.rpartition("-")[2][:3])
    if not 0 < found <= signal.SIGRTMAX:
        raise UsageError(f"{text!r} is not a signal", "as in SIGTERM, TERM or 15; kill -l lists them")
    return found


def send(number: int) -> bool:
    """Send signal `number` to the first process of every container that this process runs.

    Return whether there was one.

    It is called from a signal handler, so it takes no lock and starts no process.
    """
    sent = False
    for process in _first_processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)
            sent = True
    return sent


def deliver(process: int, number: int) -> bool:
    """Send `number` to the first process of a container. Return whether the kernel delivers it.

    The first process of a pid namespace does not get a signal whose default action would end it (pid_namespaces(7)).
    One that it blocks waits for it, to be taken by sigwait(3) or signalfd(2). While a process is in sigwait, as tini
    and dumb-init are, the kernel shows no signal as blocked (`real_blocked` in do_sigtimedwait).
    """
    waits = _is_in_sigwait(process)
    try:
        with open(f"/proc/{process}/status", encoding="utf-8", errors="replace") as lines:
            masks = {name: value for name, _, value in (line.partition(":") for line in lines)}
        os.kill(process, number)
    except (FileNotFoundError, ProcessLookupError):
        return False
    known = 0
    for name in ("SigCgt", "SigIgn", "SigBlk"):
        known |= int(masks.get(name, "0"), 16)
    return waits or number in _WITHOUT_HANDLER or bool(known >> (number - 1) & 1)


def _is_in_sigwait(process: int) -> bool:
    try:
        with open(f"/proc/{process}/wchan", encoding="ascii", errors="replace") as where:
            return "sigtimedwait" in where.read()
    except OSError:
        return False


def resize(rows: int, columns: int) -> None:
    """Give the terminals of the containers' first processes this size; the kernel then sends them SIGWINCH.

    Some versions of crun do not follow the size of their own terminal. Called from a signal handler.
    """
    for process in _first_processes():
        for stream in range(3):
            # The process may have closed or redirected this stream: the next one may be its terminal.
            with contextlib.suppress(OSError):
                terminal = os.open(f"/proc/{process}/fd/{stream}", os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
                try:
                    termios.tcsetwinsize(terminal, (rows, columns))
                    break
                except termios.error:
                    continue
                finally:
                    os.close(terminal)


def first_processes(guard: int) -> Iterator[int]:
    """Yield the first process of the container that `guard` has started; none before it starts or after it ends."""
    for runtime in _children(guard, guard):
        yield from _children(runtime, runtime)


def descendants(process: int) -> Iterator[int]:
    """Yield `process` and all processes below it."""
    yield process
    with contextlib.suppress(FileNotFoundError):
        for thread in os.listdir(f"/proc/{process}/task"):
            for child in _children(process, int(thread)):
                yield from descendants(child)


def _first_processes() -> Iterator[int]:
    for guard in _children_of_all_threads():
        yield from first_processes(guard)


def _children_of_all_threads() -> list[int]:
    # The kernel lists the children of each thread separately.
    pid = os.getpid()
    threads = [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    return [child for thread in threads for child in _children(pid, thread)]


def _children(pid: int, thread: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []
