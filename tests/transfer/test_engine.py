"""Loading into an engine through its socket: podman's service answers to docker's calls."""

import contextlib
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from polyarch.errors import CorruptError, PolyarchError, UnsupportedError
from polyarch.transfer import copy as copier
from polyarch.transfer import engine
from polyarch.transfer.archive import ArchiveWriter
from polyarch.transfer.layout import OciLayout
from polyarch.transfer.tarball import ArchiveSink
from tests.needs import need
from tests.oci.examples import ARM64, multi_platform

pytestmark = pytest.mark.integration


@pytest.fixture
def podman() -> Iterator[list[str]]:
    """podman with a storage of its own."""
    need("podman")
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield ["podman", "--root", f"{directory}/root", "--runroot", f"{directory}/run", "--storage-driver", "vfs"]


@pytest.fixture
def service(podman: list[str], tmp_path: Path) -> Iterator[str]:
    """The socket of a podman service."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        path = f"{directory}/engine.sock"
        with subprocess.Popen([*podman, "system", "service", "--time=0", f"unix://{path}"]) as process:
            try:
                deadline = time.monotonic() + 20
                while engine.find([path]) is None and process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.02)
                yield path
            finally:
                process.terminate()


def test_an_engine_loads_what_is_streamed_to_it(podman: list[str], service: str, tmp_path: Path) -> None:
    source = OciLayout.create(tmp_path / "source")
    multi_platform(source, "docker.io/team/app:1")

    def fill(output: ArchiveSink) -> None:
        writer = ArchiveWriter(output, docker=True, preferred=ARM64)
        copier.copy(source, "docker.io/team/app:1", writer, ["docker.io/team/app:1"])
        writer.finish()

    assert engine.find(["/nowhere.sock", f"unix://{service}"]) == service
    said = engine.load(service, fill)
    assert any("team/app:1" in line for line in said)
    listed = subprocess.run([*podman, "images", "--format", "{{.Repository}}:{{.Tag}}"], capture_output=True, text=True)
    assert "docker.io/team/app:1" in listed.stdout


def test_what_the_engine_cannot_read_is_said_in_its_words(service: str) -> None:
    with pytest.raises(PolyarchError, match="did not load the image: ") as caught:
        engine.load(service, lambda output: output.write(b"not an archive" * 1000) and None)
    assert len(caught.value.message) > 60


def test_no_engine_is_none_and_one_elsewhere_is_not_spoken_to(tmp_path: Path) -> None:
    assert engine.find([str(tmp_path / "nothing.sock")]) is None
    with pytest.raises(PolyarchError, match="no engine answers"):
        engine.load(str(tmp_path / "nothing.sock"), lambda output: None)
    with pytest.raises(UnsupportedError, match="not on this machine"):
        engine.find(["tcp://192.0.2.1:2375"])


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[Callable[[bytes], str]]:
    """The path of a socket where something reads a little, answers what the test says, and hangs up."""
    listeners: list[socket.socket] = []

    def listen(answer: bytes) -> str:
        path = str(tmp_path / f"{len(listeners)}.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        listeners.append(listener)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with listener.accept()[0] as connection:
                        connection.recv(4096)
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        return path

    yield listen
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"])
def test_what_is_no_engine_is_an_error_and_not_a_crash(impostor: Callable[[bytes], str], answer: bytes) -> None:
    path = impostor(answer)
    assert engine.find([path]) is None
    with pytest.raises(PolyarchError, match="did not answer"):
        engine.keeps_indexes(path)
    with pytest.raises(PolyarchError, match="did not answer"):
        engine.load(path, lambda output: output.write(bytes(8 << 20)) and None)


def test_an_engine_that_refuses_and_hangs_up_is_heard(impostor: Callable[[bytes], str]) -> None:
    words = b'{"message":"no space left on device"}'
    path = impostor(b"HTTP/1.1 500 Error\r\nContent-Length: %d\r\n\r\n%b" % (len(words), words))
    with pytest.raises(PolyarchError, match="no space left on device"):
        engine.load(path, lambda output: output.write(bytes(64 << 20)) and None)


def test_a_failure_to_make_the_archive_is_not_a_failure_of_the_engine(impostor: Callable[[bytes], str]) -> None:
    def fail(output: ArchiveSink) -> None:
        raise CorruptError("a layer is damaged")

    with pytest.raises(CorruptError, match="a layer is damaged"):
        engine.load(impostor(b""), fail)
