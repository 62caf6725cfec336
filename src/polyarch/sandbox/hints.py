"""What helps when a process fails or is silent, above all under an emulator: a table, most specific entries first.

Sources: runs of 81 programs under qemu 7.2.22 and 11.1.3 (docs/reference/emulated.md), and findings/qemu-*.sh. An entry
about a program names the versions in which it was seen, because some faults are of the older qemu and some of the
newer.
"""

import re

import msgspec

_SIGNALS = {
    4: ("SIGILL", "Illegal instruction"),
    5: ("SIGTRAP", "Trace/breakpoint trap"),
    6: ("SIGABRT", "Aborted"),
    7: ("SIGBUS", "Bus error"),
    11: ("SIGSEGV", "Segmentation fault"),
}
_OLD, _NEW = (8, 0), (11, 0)
_32 = ("386", "arm")
_64 = ("amd64", "arm64", "loong64", "mips64", "mips64le", "ppc64", "ppc64le", "riscv64", "s390x")


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """A process that failed with an exit status, or that has been silent for long (`status` is None).

    `command` is its command line, `output` the end of what it wrote, `platform` its platform and `architecture` that
    one's GOARCH. `emulator` is the name and version of the emulator, such as "qemu-arm 7.2.22", or empty.
    """

    command: str
    output: str
    status: int | None
    platform: str
    architecture: str
    emulator: str = ""

    @property
    def version(self) -> tuple[int, int] | None:
        """The version of the emulator, if it is known."""
        found = re.search(r"\b(\d+)\.(\d+)", self.emulator)
        return (int(found[1]), int(found[2])) if found else None

    @property
    def signal(self) -> int:
        """The number of the signal that ended a program of it, or 0."""
        if self.status is None:
            return 0
        # A shell or a make in between has another status, but what was said before is in the output.
        told = re.search(r"qemu: uncaught target signal (\d+)", self.output)
        if told:
            return int(told[1])
        if self.status - 128 in _SIGNALS:
            return self.status - 128
        words = self.output[-400:]
        return next((number for number, (_, name) in _SIGNALS.items() if re.search(rf"\b{name}\b", words)), 0)


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """An entry: conditions, of which all that are set must hold, and a text.

    `program` is a pattern for the command line or the output, `output` one for the output alone. `emulated` is None if
    the emulator does not matter. The emulator's version is at least `since` and below `before`; an unknown one is both.
    The text may name {emulator}, {platform} and {signal}.
    """

    text: str
    program: str = ""
    output: str = ""
    signals: tuple[int, ...] = ()
    statuses: tuple[int, ...] = ()
    architectures: tuple[str, ...] = ()
    emulated: bool | None = True
    since: tuple[int, int] = (0, 0)
    before: tuple[int, int] = (1000, 0)
    silent: bool = False

    def fits(self, trouble: Trouble) -> bool:
        """Whether all conditions hold."""
        version = trouble.version
        return (
            self.silent == (trouble.status is None)
            and self.emulated in (None, bool(trouble.emulator))
            and (version is None or self.since <= version < self.before)
            and (not self.architectures or trouble.architecture in self.architectures)
            and (not self.signals or trouble.signal in self.signals)
            and (not self.statuses or trouble.status in self.statuses)
            and (not self.output or re.search(self.output, trouble.output) is not None)
            and (not self.program or re.search(self.program, f"{trouble.command}\n{trouble.output}") is not None)
        )


def hint_for(trouble: Trouble) -> str | None:
    """The text of the first entry that fits, or None."""
    for entry in HINTS:
        if entry.fits(trouble):
            name = _SIGNALS.get(trouble.signal, (f"signal {trouble.signal}",))[0]
            return entry.text.format(emulator=trouble.emulator, platform=trouble.platform, signal=name)
    return None


HINTS: tuple[Hint, ...] = (
    # Programs that an emulator does not run, with what mends it.
    Hint(
        program=r"\b(erl|erlc|elixir|mix|rebar3?|beam\.smp)\b",
        signals=(11,),
        architectures=("arm64",),
        before=_OLD,
        text='Erlang\'s JIT fails under {emulator}: set ENV ERL_FLAGS="+JPperf true"; qemu 11.1 needs no setting',
    ),
    Hint(
        program=r"\bphp\b",
        signals=(11,),
        architectures=("arm64",),
        since=_NEW,
        text="PHP's JIT crashes now and then under {emulator}: run php -d opcache.jit=off; qemu 7.2 does not have this "
        "fault",
    ),
    Hint(
        output=r"bug that could lead to data corruption|ARM64-COW-BUG",
        architectures=("arm64",),
        since=_NEW,
        text="{emulator} does not show copied memory in /proc/self/smaps: start redis with --ignore-warnings "
        "ARM64-COW-BUG; qemu 7.2 does not have this fault",
    ),
    Hint(
        program=r"\b(sbcl|luajit|racket)\b",
        signals=(4,),
        before=_OLD,
        text="its compiler makes instructions that {emulator} does not know: run this step natively (FROM "
        "--platform=$BUILDPLATFORM), or with qemu 11.1",
    ),
    Hint(
        program=r"\bracket\b",
        signals=(6, 11),
        architectures=("ppc64le",),
        text="racket's collector does not run under qemu for ppc64le (7.2 and 11.1): run this step natively (FROM "
        "--platform=$BUILDPLATFORM)",
    ),
    Hint(
        program=r"\b(mono|mcs|csc)\b",
        signals=(11,),
        architectures=("s390x",),
        before=_OLD,
        text="mono does not run under {emulator} for s390x: compile natively (FROM --platform=$BUILDPLATFORM), or with "
        "qemu 11.1",
    ),
    Hint(
        output=r"GPU process isn't usable|zygote",
        program=r"(?i)chrom",
        since=_NEW,
        text="Chromium's processes do not fork under {emulator}: start it with --no-zygote",
    ),
    Hint(
        output=r"GPU process isn't usable|zygote",
        program=r"(?i)chrom",
        before=_NEW,
        text="Chromium does not run under {emulator}: render natively (FROM --platform=$BUILDPLATFORM); with qemu 11.1 "
        "it runs with --no-zygote",
    ),
    Hint(
        output=r"hardware lacks NEON|lacks NEON",
        before=_OLD,
        text="{emulator} shows the host's /proc/cpuinfo, in which the program looks for NEON: start the program "
        "itself, not its wrapper",
    ),
    # Sanitizers and debuggers.
    Hint(
        output=r"LeakSanitizer has encountered a fatal error",
        text="the leak check of AddressSanitizer needs ptrace, which qemu does not have: set "
        "ASAN_OPTIONS=detect_leaks=0, or run the test natively",
    ),
    Hint(
        output=r"(Address|Thread|Memory)Sanitizer.*(CHECK failed|failed to allocate|unsupported VMA|Shadow memory)",
        text="the shadow memory of this sanitizer does not fit into the addresses that {emulator} gives: run the test "
        "natively; -fsanitize=undefined and valgrind work",
    ),
    Hint(
        output=r"(?i)ptrace.*(not implemented|ENOSYS)|Could not trace the inferior|PTRACE_\w+.*not implemented",
        text="strace and gdb need ptrace, which qemu does not have: use valgrind, or run this step natively",
    ),
    # Processes and users.
    Hint(
        output=r"PR_SET_CHILD_SUBREAPER|registered as a child subreaper",
        before=_OLD,
        text="{emulator} has no subreapers: start tini without -s (as process 1 it needs none); qemu 10.0 has them",
    ),
    Hint(
        output=r"effective uid is not 0|must be setuid root|must be owned by uid 0 and have the setuid bit set",
        text="setuid programs keep the caller's id, as with an emulator that is registered without the flag C "
        "('polyarch doctor' has the command that mends it), or on a file system that is mounted nosuid; or do this "
        "before USER",
    ),
    Hint(
        output=r"effective uid is not 0|must be setuid root|must be owned by uid 0 and have the setuid bit set",
        emulated=False,
        text="setuid programs keep the caller's id, as on a file system that is mounted nosuid: keep the store on "
        "another one (POLYARCH_ROOT), or do this before USER",
    ),
    Hint(
        program=r"start-stop-daemon",
        output=r"none killed|already running",
        text="start-stop-daemon --exec compares programs with /proc/PID/exe, which is qemu: use --pidfile with --name",
    ),
    Hint(
        output=r"ping: (socket|socktype|permission|Lacking privilege).*",
        emulated=None,
        text="a container may only ping if net.ipv4.ping_group_range of its network includes the group: test the "
        "connection with a request instead (curl, wget), or on the host",
    ),
    # Files.
    Hint(
        output=r"Value too large for defined data type|EOVERFLOW",
        architectures=_32,
        text="this 32-bit program cannot read directories of the store's file system: keep the store on tmpfs, xfs or "
        "btrfs (POLYARCH_ROOT), as in: POLYARCH_ROOT=/dev/shm/polyarch",
    ),
    Hint(
        program=r"\b(javac|java|jshell)\b",
        output=r"Could not find or load main class|file not found|error: no source files|cannot find symbol",
        architectures=_32,
        text="Java for 32 bits finds no files in directories of the store's file system, without an error: keep the "
        "store on tmpfs, xfs or btrfs (POLYARCH_ROOT), or compile natively: class files are the same for all platforms",
    ),
    Hint(
        output=r"qemu-\S+: Could not open '(/lib\S*ld-\S+)'",
        emulated=None,
        text="the program is for another platform than the image, whose C library is not there: take it from an image "
        "for the same platform ('polyarch check' finds such files)",
    ),
    Hint(
        output=r"Function not implemented|ENOSYS",
        text="{emulator} does not have a system call that this program needs: 'polyarch platforms --probe {platform}' "
        "lists what is absent",
    ),
    # A signal, of any program.
    Hint(
        signals=(4,),
        text="{signal} under {emulator}: the program uses instructions that the emulated processor lacks "
        "(-march=native, a newer variant), or makes such code itself: switch its JIT off, or run this step natively "
        "(FROM --platform=$BUILDPLATFORM)",
    ),
    Hint(
        signals=(4,),
        emulated=False,
        text="{signal}: the program uses instructions that this machine's processor does not have (-march=native, "
        "x86-64-v3)",
    ),
    Hint(
        signals=(5, 6, 7, 11),
        text="{signal} under {emulator}: if the program runs natively, it is the emulator. 'polyarch platforms --probe "
        "{platform}' shows what it lacks; a step FROM --platform=$BUILDPLATFORM does without it. Programs with a JIT "
        "often run with the JIT off",
    ),
    Hint(statuses=(137,), emulated=None, text="the process was killed, perhaps because memory ran out"),
    Hint(statuses=(127,), emulated=None, text="a command was not found in the image"),
    # Silence.
    Hint(
        silent=True,
        program=r"\b(mariadb|mysql)[\w-]*",
        architectures=_64,
        before=_OLD,
        text="MariaDB reserves 8 TiB of addresses, which {emulator} searches page by page: give "
        "--innodb-buffer-pool-size-max=128M; qemu 11.1 needs no setting",
    ),
    Hint(
        silent=True,
        program=r"(?i)\bchrom",
        text="Chromium may not end under {emulator}: with qemu 11.1 it runs with --no-zygote; else render natively "
        "(FROM --platform=$BUILDPLATFORM)",
    ),
    Hint(
        silent=True,
        text="emulated steps are several times slower. Some programs wait for ever under {emulator}: those that share "
        "robust mutexes between processes, or reserve terabytes of addresses. A step FROM --platform=$BUILDPLATFORM "
        "needs no emulator",
    ),
)
