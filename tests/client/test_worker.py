"""The worker process ends with the call that started it, however that ends, and leaves nothing behind."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from polyarch import Polyarch, PolyarchError, UnsupportedError
from tests.client.conftest import Clients

# Runs `sleep` in an image, and says when it is running. The number is its sign.
PROGRAM = """
import os, sys
from polyarch import Polyarch
with Polyarch(sys.argv[1]) as client:
    print(client.images.run("busybox", "sh", "-c", "echo running; sleep $0", sys.argv[2]), flush=True)
"""


class StopError(Exception):
    """What a caller's own code raises."""


def running(sign: str) -> list[int]:
    """The processes that have `sign` as an argument, ours aside."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if entry.name.isdigit() and words[:1] == [b"sleep"] and sign.encode() in words:
                found.append(int(entry.name))
    return found


def until(happened: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "this has not happened"
        time.sleep(0.02)


@pytest.fixture
def sign(request: pytest.FixtureRequest) -> str:
    """A number of seconds that no other test sleeps for."""
    return f"{1000 + os.getpid() % 1000}.{abs(hash(request.node.name)) % 1_000_000:06}"


@pytest.fixture
def program(tmp_path: Path, busybox: str, sign: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A program in the middle of a run."""
    home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, tmp_path / "store", sign],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=home,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"running\n"
        until(lambda: running(sign))
        yield process
        process.kill()


def leftovers(root: Path) -> list[str]:
    return [path.name for path in (root / "tmp").iterdir()] if (root / "tmp").exists() else []


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_what_runs_ends_with_the_program_that_started_it(
    program: "subprocess.Popen[bytes]", sign: str, by: signal.Signals
) -> None:
    program.send_signal(by)
    _, stderr = program.communicate()
    until(lambda: not running(sign))
    if by == signal.SIGINT:
        # A program has its own Ctrl-C as ever, and hears nothing of the worker's.
        assert stderr.count(b"KeyboardInterrupt") == 1, stderr.decode()


def test_an_error_of_the_callers_own_ends_the_worker(client: Polyarch, busybox: str, sign: str, tmp_path: Path) -> None:
    class Sink:
        def write(self, data: bytes) -> None:
            until(lambda: running(sign))
            raise StopError(data)

    with pytest.raises(StopError, match="running"):
        client.images.run(busybox, "sh", "-c", "echo running; sleep $0", sign, stdout=Sink())  # type: ignore[arg-type]
    assert not running(sign)
    assert client.images.run(busybox, "echo", "next", capture_output=True).stdout == b"next\n"


def test_a_worker_that_is_killed_is_an_error_that_says_so(client: Polyarch, busybox: str, sign: str) -> None:
    class Killer:
        def write(self, data: bytes) -> None:
            until(lambda: running(sign))
            mine = subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True, check=True)
            for child in map(int, mine.stdout.split()):
                with contextlib.suppress(ProcessLookupError):
                    if b"polyarch.client.child" in Path(f"/proc/{child}/cmdline").read_bytes():
                        os.kill(child, signal.SIGKILL)

    with pytest.raises(PolyarchError, match="killed by SIGKILL") as raised:
        client.images.run(busybox, "sh", "-c", "echo running; sleep $0", sign, stdout=Killer())  # type: ignore[arg-type]
    assert "dmesg" in str(raised.value.hint)
    until(lambda: not running(sign))


def test_a_worker_finds_modules_where_the_program_does(client: Polyarch, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "polyarch").mkdir()
    (tmp_path / "polyarch/__init__.py").write_text("raise RuntimeError('not this one')")
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert client.images.run(busybox, "true").returncode == 0
    finally:
        os.chdir(before)


def test_no_thread_and_no_open_file_is_left_in_the_program(client: Polyarch, busybox: str) -> None:
    client.images.run(busybox, "true")
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    client.images.run(busybox, "true", capture_output=True, input=b"x")
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == (threads, files)


def test_a_program_without_an_interpreter_is_told_what_to_do(
    clients: Clients, busybox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with clients() as client, pytest.raises(UnsupportedError, match="no Python interpreter of its own"):
        client.images.run(busybox, "true")
