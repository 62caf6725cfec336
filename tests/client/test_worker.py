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
from polyarch.store import StoreLayout
from tests.client.conftest import Clients

# Programs that run `sleep` in an image and in a build, and say when it runs. The number is its sign.
PROGRAMS = {
    "run": """
import sys
from polyarch import Polyarch
with Polyarch(sys.argv[1]) as client:
    client.images.run("busybox", "sh", "-c", "echo running; sleep $0", sys.argv[2])
""",
    "build": """
import sys
from polyarch import OutputChunk, Polyarch
def show(event):
    if isinstance(event, OutputChunk) and b"running" in event.data:
        print("running", flush=True)
with Polyarch(sys.argv[1], progress=show) as client:
    client.build(None, dockerfile=f"FROM busybox\\nRUN echo running; sleep {sys.argv[2]}\\n", tags="app")
""",
}


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


@pytest.fixture(params=PROGRAMS)
def program(
    request: pytest.FixtureRequest, tmp_path: Path, busybox: str, sign: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """A program in the middle of a run, or of a build."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAMS[request.param], tmp_path / "store", sign],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"running\n"
        until(lambda: running(sign))
        yield process
        process.kill()


def leftovers(root: Path) -> list[str]:
    """What is in the store's directory of temporary files, and mounted below the store."""
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [*os.listdir(StoreLayout(str(root)).temporary), *(place for place in mounted if place.startswith(str(root)))]


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_what_runs_ends_with_the_program_that_started_it(
    program: "subprocess.Popen[bytes]", sign: str, tmp_path: Path, by: signal.Signals
) -> None:
    program.send_signal(by)
    _, stderr = program.communicate()
    until(lambda: not running(sign) and not leftovers(tmp_path / "store"))
    if by == signal.SIGINT:
        # A program has its own Ctrl-C as ever, and hears nothing of the worker's.
        assert stderr.count(b"KeyboardInterrupt") == 1, stderr.decode()
    with Polyarch(tmp_path / "store") as client:
        assert [image.name for image in client.images.list()] == ["busybox:latest"]


def test_an_error_of_the_callers_own_ends_the_worker(client: Polyarch, busybox: str, sign: str, tmp_path: Path) -> None:
    class Sink:
        def write(self, data: bytes) -> None:
            until(lambda: running(sign))
            raise StopError(data)

    with pytest.raises(StopError, match="running"):
        client.images.run(busybox, "sh", "-c", "echo running; sleep $0", sign, stdout=Sink())  # type: ignore[arg-type]
    assert not running(sign)
    assert client.images.run(busybox, "echo", "next", capture_output=True).stdout == b"next\n"


def workers() -> list[int]:
    """The workers of this process."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            mine = entry.name.isdigit() and f"\nPPid:\t{os.getpid()}\n" in (entry / "status").read_text()
            if mine and b"polyarch.client.child" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("forked", [False, True])
def test_a_worker_that_is_killed_is_an_error_that_says_so(
    client: Polyarch, busybox: str, sign: str, forked: bool
) -> None:
    heirs: list[int] = []

    class Killer:
        def write(self, data: bytes) -> None:
            until(lambda: running(sign))
            # A process that the program forks meanwhile has the sockets, too, so that none of them is closed.
            if forked and (heir := os.fork()) == 0:
                time.sleep(60)
                os._exit(0)
            elif forked:
                heirs.append(heir)
            (worker,) = workers()
            os.kill(worker, signal.SIGKILL)

    try:
        with pytest.raises(PolyarchError, match="killed by SIGKILL") as raised:
            client.images.run(busybox, "sh", "-c", "echo running; sleep $0", sign, stdout=Killer())  # type: ignore[arg-type]
    finally:
        for heir in heirs:
            os.kill(heir, signal.SIGKILL)
            os.waitpid(heir, 0)
    assert "dmesg" in str(raised.value.hint)
    until(lambda: not running(sign))


def test_a_worker_works_below_a_thread_that_blocks_signals_and_a_program_that_ignores_them(
    client: Polyarch, busybox: str, sign: str
) -> None:
    class Sink:
        def write(self, data: bytes) -> None:
            until(lambda: running(sign))
            raise StopError(data)

    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO, signal.SIGTERM, signal.SIGINT})
    try:
        with pytest.raises(StopError):
            client.images.run(busybox, "sh", "-c", "echo running; sleep $0", sign, stdout=Sink())  # type: ignore[arg-type]
        assert not running(sign)
        assert client.images.run(busybox, "echo", "next", capture_output=True).stdout == b"next\n"
        assert client.build(None, dockerfile="FROM busybox\nRUN true\n").images
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGCHLD, before)


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


CLOSED = """
import os, sys
from polyarch import Polyarch
with Polyarch(sys.argv[1]) as client:
    done = client.images.run("busybox", "cat", input=b"with a stream", capture_output=True)
with open(sys.argv[2], "wb") as file:
    file.write(done.stdout)
"""


def test_a_program_whose_standard_streams_are_closed_runs_a_process(
    tmp_path: Path, busybox: str, client: Polyarch
) -> None:
    words = [sys.executable, "-c", CLOSED, str(tmp_path / "store"), str(tmp_path / "out")]
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *words], env=environment, check=True)
    assert (tmp_path / "out").read_bytes() == b"with a stream"


def test_a_program_without_an_interpreter_is_told_what_to_do(
    clients: Clients, busybox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with clients() as client, pytest.raises(UnsupportedError, match="no Python interpreter of its own"):
        client.images.run(busybox, "true")


def test_an_interpreter_that_is_gone_is_named(
    client: Polyarch, busybox: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(PolyarchError, match=r"cannot start a worker process: .*/python: No such file"):
        client.images.run(busybox, "true")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(PolyarchError, match="the worker process ended with status 1 before it gave a result"):
        client.images.run(busybox, "true")
