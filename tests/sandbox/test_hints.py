"""The hint for a process that failed or is silent: each entry of the table is found by what the program really says."""

import msgspec
import pytest

from polyarch.sandbox import hints
from polyarch.sandbox.hints import HINTS, Trouble, hint_for

OLD, NEW = "7.2.22", "11.1.3"
_QEMU = {"arm64": "aarch64", "arm": "arm", "s390x": "s390x", "ppc64le": "ppc64le"}


def trouble(
    command: str, output: str = "", status: int | None = 1, architecture: str = "arm64", version: str = OLD
) -> Trouble:
    emulator = f"qemu-{_QEMU[architecture]} {version}" if architecture in _QEMU else ""
    return Trouble(
        command=command,
        output=output,
        status=status,
        platform=f"linux/{architecture}",
        architecture=architecture,
        emulator=emulator,
    )


def signal(number: int) -> str:
    names = {4: "Illegal instruction", 6: "Aborted", 11: "Segmentation fault"}
    return f"qemu: uncaught target signal {number} ({names[number]}) - core dumped\n"


# What was said (the last lines), and a word of the hint that helps.
CASES: list[tuple[Trouble, str]] = [
    (trouble("erlc a.erl", signal(11), 139), "+JPperf true"),
    (trouble("/bin/sh -c mix compile", signal(11), 139), "qemu 11.1 needs no setting"),
    (trouble("php bench.php", signal(11), 139, version=NEW), "opcache.jit=off"),
    (
        trouble("redis-server", "Your kernel has a bug that could lead to data corruption during", 1, version=NEW),
        "--ignore-warnings ARM64-COW-BUG",
    ),
    (trouble("sbcl --script a.lisp", signal(4), 132, "ppc64le"), "run this step natively"),
    (trouble("luajit a.lua", signal(4), 132, "s390x"), "or with qemu 11.1"),
    (trouble("racket a.rkt", signal(6), 134, "ppc64le", NEW), "racket's collector"),
    (trouble("make all", f"mcs a.cs\n{signal(11)}make: *** [all] Error 139", 2, "s390x"), "mono does not run"),
    (trouble("chromium --headless", "GPU process isn't usable. Goodbye.", 133, version=NEW), "with --no-zygote"),
    (trouble("chromium --headless", "GPU process isn't usable. Goodbye.", 133), "render natively"),
    (trouble("chromium", "This hardware lacks NEON", 1, "arm"), "the host's /proc/cpuinfo"),
    (trouble("./t", "==7==LeakSanitizer has encountered a fatal error.", 1), "detect_leaks=0"),
    (trouble("./t", "FATAL: ThreadSanitizer: unsupported VMA range", 66, version=NEW), "shadow memory"),
    (trouble("./t", "==1==ERROR: AddressSanitizer failed to allocate 0x2000000001000", 1, "s390x"), "shadow memory"),
    (
        trouble("strace ls", "strace: test_ptrace_get_syscall_info: PTRACE_TRACEME: Function not implemented"),
        "valgrind",
    ),
    (trouble("gdb -batch", "Could not trace the inferior process.", 1), "valgrind"),
    (
        trouble("tini -s -- true", "[FATAL tini (7)] PR_SET_CHILD_SUBREAPER is unavailable on this platform."),
        "without -s",
    ),
    (
        trouble(
            "tini true", "[WARN  tini (7)] Tini is not running as PID 1 and isn't registered as a child subreaper."
        ),
        "without -s",
    ),
    (trouble("sudo true", "sudo: effective uid is not 0, is /usr/bin/sudo on a file system with the"), "the flag C"),
    (trouble("sudo true", "sudo: effective uid is not 0, is", architecture="amd64"), "mounted nosuid"),
    (trouble("start-stop-daemon --stop --exec /d", "No /d found running; none killed.", 1), "--pidfile"),
    (trouble("ping -c1 h", "ping: socktype: SOCK_RAW\nping: socket: Operation not permitted", 2), "ping_group_range"),
    (trouble("ping -c1 h", "ping: permission denied (are you root?)", 1, "amd64"), "curl"),
    (trouble("svn co", "svn: E000075: Value too large for defined data type", 1, "arm"), "POLYARCH_ROOT"),
    (trouble("javac A.java", "error: file not found: A.java", 2, "arm"), "class files are the same"),
    (
        trouble("./tool", "qemu-x86_64: Could not open '/lib64/ld-linux-x86-64.so.2': No such file or directory", 255),
        "another platform than the image",
    ),
    (trouble("./ring", "io_uring_setup: Function not implemented", 1), "polyarch platforms --probe linux/arm64"),
    (trouble("./native", signal(4), 132), "-march=native"),
    (trouble("./native", "sh: line 1: 7 Illegal instruction     (core dumped) ./native", 132, "amd64"), "x86-64-v3"),
    (trouble("./new", signal(11), 139), "SIGSEGV under qemu-aarch64 7.2.22"),
    (trouble("make", f"{signal(6)}make: *** [x] Error 134", 2), "SIGABRT under qemu-aarch64 7.2.22"),
    (trouble("cc1plus", "", 137, "amd64"), "memory ran out"),
    (trouble("nothing", "sh: nothing: not found", 127, "amd64"), "not found in the image"),
    (trouble("mariadb-install-db --user=mysql", "", None), "--innodb-buffer-pool-size-max=128M"),
    (trouble("chromium --dump-dom", "", None), "--no-zygote"),
    (trouble("npm ci", "", None), "robust mutexes"),
]


@pytest.mark.parametrize(("case", "word"), CASES, ids=[f"{case.command}-{word}" for case, word in CASES])
def test_what_a_program_says_leads_to_what_helps(case: Trouble, word: str) -> None:
    found = hint_for(case)
    assert found is not None
    assert word in found


def test_every_entry_has_a_case() -> None:
    first = [next(number for number, entry in enumerate(HINTS) if entry.fits(case)) for case, _ in CASES]
    assert sorted(set(first)) == list(range(len(HINTS)))


@pytest.mark.parametrize(
    ("case", "word"),
    [
        # The other version does not have the fault, so its hint is not given.
        (trouble("erlc a.erl", signal(11), 139, version=NEW), "JPperf"),
        (trouble("php bench.php", signal(11), 139), "opcache"),
        (trouble("mariadb-install-db", "", None, version=NEW), "innodb"),
        # Nor for another architecture, or natively.
        (trouble("erlc a.erl", signal(11), 139, "s390x"), "JPperf"),
        (trouble("svn co", "Value too large for defined data type", 1, "arm64"), "POLYARCH_ROOT"),
        (trouble("./ring", "Function not implemented", 1, "amd64"), "probe"),
    ],
)
def test_a_hint_of_another_version_or_platform_is_not_given(case: Trouble, word: str) -> None:
    assert word not in (hint_for(case) or "")


def test_an_ordinary_failure_has_no_hint() -> None:
    assert hint_for(trouble("make", "main.c:1: error: expected ';'", 2)) is None
    assert hint_for(trouble("false", "", 1, "amd64")) is None


def test_no_hint_says_only_that_a_newer_emulator_helps() -> None:
    for entry in HINTS:
        filled = entry.text.format(emulator="qemu", platform="linux/arm", signal="SIGSEGV")
        assert "newer qemu" not in filled.lower()
        assert not filled.endswith(".")


@pytest.mark.parametrize(("text", "version"), [("qemu-arm 7.2.22", (7, 2)), ("qemu-arm 11.1", (11, 1)), ("the", None)])
def test_the_version_of_an_emulator_is_read(text: str, version: tuple[int, int] | None) -> None:
    assert msgspec.structs.replace(trouble("true"), emulator=text).version == version


def test_an_unknown_version_gets_the_hints_of_all() -> None:
    unknown = msgspec.structs.replace(trouble("php a.php", signal(11), 139), emulator="the emulator")
    assert "opcache.jit=off" in (hint_for(unknown) or "")
    assert hints._SIGNALS[11][0] == "SIGSEGV"
