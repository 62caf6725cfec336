"""Copying a container's terminal, with a pseudoterminal in the container's place."""

import contextlib
import os
import pty
import socket
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch.sandbox.console import Console


@pytest.fixture
def ours() -> Iterator[tuple[int, int]]:
    """The two sides of the user's terminal."""
    controller, terminal = pty.openpty()
    yield controller, terminal
    os.close(controller)
    os.close(terminal)


def send(path: Path) -> int:
    """A new terminal, whose controlling side goes to the socket as a runtime sends it."""
    controller, terminal = pty.openpty()
    with socket.socket(socket.AF_UNIX) as runtime:
        runtime.connect(os.path.relpath(path))
        socket.send_fds(runtime, [b"/dev/pts/0"], [controller])
    os.close(controller)
    return terminal


def shown(controller: int) -> bytes:
    os.set_blocking(controller, False)
    said = bytearray()
    with contextlib.suppress(BlockingIOError):
        while data := os.read(controller, 1 << 16):
            said += data
    return bytes(said)


def test_what_was_written_is_copied_when_the_writer_is_gone_already(ours: tuple[int, int], tmp_path: Path) -> None:
    for _ in range(50):
        with Console(str(tmp_path / "console"), ours[1], ours[1]):
            terminal = send(tmp_path / "console")
            os.write(terminal, b"hello\n")
            os.close(terminal)
        assert shown(ours[0]) == b"hello\r\n"
        (tmp_path / "console").unlink()


def test_what_is_typed_arrives_and_the_terminal_gets_its_modes_back(ours: tuple[int, int], tmp_path: Path) -> None:
    before = termios.tcgetattr(ours[1])
    with Console(str(tmp_path / "console"), ours[1], ours[1]):
        terminal = send(tmp_path / "console")
        os.write(ours[0], b"typed\r")
        assert os.read(terminal, 100) == b"typed\n"
        assert not termios.tcgetattr(ours[1])[3] & termios.ECHO, "Ctrl-C is the container's"
        os.close(terminal)
    assert termios.tcgetattr(ours[1]) == before


def test_a_runtime_that_never_sends_a_terminal_is_not_waited_for(ours: tuple[int, int], tmp_path: Path) -> None:
    before = termios.tcgetattr(ours[1])
    with Console(str(tmp_path / "console"), ours[1], ours[1]):
        pass
    with Console(str(tmp_path / "second"), ours[1], ours[1]), socket.socket(socket.AF_UNIX) as runtime:
        runtime.connect(str(tmp_path / "second"))
    assert termios.tcgetattr(ours[1]) == before


def test_a_socket_may_lie_deeper_than_an_address_is_long(ours: tuple[int, int], tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 200)
    deep.mkdir()
    with contextlib.chdir(deep), Console(str(deep / "console"), ours[1], ours[1]):
        terminal = send(deep / "console")
        os.write(terminal, b"hello\n")
        os.close(terminal)
    assert shown(ours[0]) == b"hello\r\n"
