"""Where a command can be hit: strace tells which system calls it makes, and lets one of them kill it or fail.

A point is a system call and its number within a thread or process. The first that comes to that number is killed
before the call is done, or is told that the disk is full. A run that does not come there was not hit.
"""

import os
import random
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.needs import missing, need

# What changes a disk, a mount table or a process table; killing between two other calls is killing before one of these.
_CHANGING = (
    "write pwrite64 copy_file_range openat mkdir mkdirat rename renameat renameat2 unlink unlinkat rmdir symlinkat "
    "linkat fsync fdatasync fallocate ftruncate flock fchmod fchown fchownat setxattr utimensat mount umount2 "
    "move_mount fsopen unshare clone clone3 execve setns sendto"
).split()
# What the kernel may refuse for want of space; what of it makes a file is told by its flags.
_FAILING = frozenset("write pwrite64 openat mkdir mkdirat rename renameat renameat2 symlinkat linkat".split())
_SYNCING = frozenset({"fsync", "fdatasync"})
_CALL = re.compile(r"^(\d+) +([a-z0-9_]+)\((.*)")
SECONDS = 60.0


class Point(NamedTuple):
    """`fault` is KILL or the name of an error; `lasting` errors do not end before the command does."""

    fault: str
    syscall: str
    number: int
    lasting: bool = False

    def __str__(self) -> str:
        return f"{self.fault} at {self.syscall} {self.number}{' and ever after' if self.lasting else ''}"


class Hit(NamedTuple):
    """How a command ended that was aimed at."""

    status: int
    output: str
    was_hit: bool
    seconds: float


def need_strace(directory: Path) -> None:
    """End the test unless strace may trace here."""
    need("strace")
    tried = subprocess.run(
        ["strace", "-f", "-o", directory / "probe", "--seccomp-bpf", "-e", "trace=write", "true"],
        capture_output=True,
        check=False,
    )
    if tried.returncode:
        missing(f"needs to be allowed to trace: {tried.stderr.decode(errors='replace').strip()}")


def possible_points(command: Sequence[str], env: Mapping[str, str], root: Path, cwd: Path) -> dict[str, list[Point]]:
    """Run the command whole, and say where it can be killed (KILL) and where the disk can fail it (DISK)."""
    log = cwd / "strace.log"
    traced = ["strace", "-f", "-y", "-o", str(log), "--seccomp-bpf", "-e", f"trace={','.join(_CHANGING)}"]
    done = subprocess.run([*traced, *command], env=env, cwd=cwd, capture_output=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.decode(errors='replace')}"
    counts: Counter[tuple[str, str]] = Counter()
    found: dict[str, dict[Point, None]] = {"KILL": {}, "DISK": {}}
    for line in log.read_text(errors="replace").splitlines():
        match = _CALL.match(line)
        if match is None:
            continue
        process, call, arguments = match.groups()
        counts[process, call] += 1
        number = counts[process, call]
        reads_only = call == "openat" and "O_CREAT" not in arguments
        if not reads_only:
            found["KILL"][Point("KILL", call, number)] = None
        if str(root) in arguments and not reads_only and call in _FAILING | _SYNCING:
            found["DISK"][Point("DISK", call, number)] = None
    return {kind: list(points) for kind, points in found.items()}


# A full disk does not keep anyone from opening what is there, and strace cannot tell the two kinds of openat apart.
_ONCE = frozenset({"openat"})


def choose(points: Mapping[str, list[Point]], fault: str, dice: random.Random) -> Point:
    """A point of this fault: a kill anywhere, an error where the disk is written to.

    The dice choose the system call first, or most points would be at the one that is made most often.
    """
    # Syncing fails of a broken disk, and late allocation makes it fail of a full one.
    possible = points["KILL" if fault == "KILL" else "DISK"]
    call = dice.choice(sorted({point.syscall for point in possible}))
    where = dice.choice([point for point in possible if point.syscall == call])
    if fault == "KILL":
        return where
    return where._replace(fault=fault, lasting=fault != "EIO" and where.syscall not in _ONCE and dice.random() < 0.5)


def aim(point: Point, command: Sequence[str], env: Mapping[str, str], cwd: Path) -> Hit:
    """Run the command, to be hit at the point. Raises AssertionError if some process of it does not end."""
    import time

    log = cwd / "strace.log"
    effect = "signal=KILL" if point.fault == "KILL" else f"error={point.fault}"
    when = f"{point.number}{'+' if point.lasting else ''}"
    # With a filter in the kernel strace is quicker, but then it sends no signal (strace 6.1).
    quick = () if point.fault == "KILL" else ("--seccomp-bpf",)
    traced = ["strace", "-f", "-o", str(log), *quick, "-e", f"trace={point.syscall}"]
    inject = ["-e", f"inject={point.syscall}:{effect}:when={when}"]
    started = time.monotonic()
    process = subprocess.Popen(
        [*traced, *inject, *command],
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        # strace ends with the last process that it traces.
        output, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise AssertionError(f"{point}: some process of it still runs after {SECONDS:.0f} s") from None
    said = log.read_text(errors="replace")
    log.unlink()
    was_hit = "killed by SIGKILL" in said if point.fault == "KILL" else "(INJECTED)" in said
    return Hit(process.returncode, output.decode(errors="replace"), was_hit, time.monotonic() - started)


def mounts_of(root: Path) -> list[str]:
    """The mounts outside of any namespace of the program that have to do with the store at `root`."""
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(root) in line]


def processes_of(root: Path) -> list[str]:
    """The command lines of processes that work on the store at `root`: by words, environment or what is mounted."""
    found = []
    own = os.readlink("/proc/self/ns/mnt")
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        directory = Path("/proc", name)
        try:
            command = (directory / "cmdline").read_bytes()
            evidence = command + (directory / "environ").read_bytes()
            if os.readlink(directory / "ns/mnt") != own:
                evidence += (directory / "mountinfo").read_bytes()
        except OSError:
            continue  # it has ended
        if os.fsencode(root) in evidence:
            found.append(f"{name}: {command.replace(bytes(1), b' ').decode(errors='replace')}")
    return found
