"""Loading into an engine through its socket: podman's service answers to docker's calls."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch.errors import PolyarchError, UnsupportedError
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
