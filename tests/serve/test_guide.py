"""The guide to the registry: its commands work, and its files are what their readers understand."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch.oci import reference as references
from polyarch.registry import hosts
from polyarch.serve.authentication import tokenfile
from tests.needs import elsewhere, need

GUIDE = (Path(__file__).resolve().parents[2] / "docs/guides/serve.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


@pytest.fixture
def served(port: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The first command of the guide, on another port; yields the environment of a shell beside it."""
    command = [sys.executable, "-m", "polyarch", *blocks("")[0].split()[1:], "--listen", f"127.0.0.1:{port}"]
    environment = os.environ | {"POLYARCH_ROOT": str(tmp_path / "store"), "HOME": str(tmp_path)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Serving ")
    yield environment
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)


def test_the_first_commands_push_to_the_server_and_pull_from_it(
    served: dict[str, str], port: str, tmp_path: Path
) -> None:
    need("podman")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    text = (
        blocks("")[1].replace(":5000", f":{port}").replace("podman", f"podman --root {tmp_path}/r --storage-driver vfs")
    )
    path = f"{Path(sys.executable).parent}:{served['PATH']}"
    done = subprocess.run(
        ["sh", "-ec", text], cwd=tmp_path, env=served | {"PATH": path}, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr


def test_the_files_of_the_guide_are_understood(tmp_path: Path) -> None:
    tokens, containerd, containers = blocks("toml")
    found = tokenfile.parse(tokens.replace("…", "0" * 64))
    assert found.by_name["ci"].rules
    assert found.anonymous
    assert "host" in tomllib.loads(containerd)
    (tmp_path / "registries.conf").write_text(containers)
    endpoints = hosts.load([tmp_path / "registries.conf"], []).endpoints(references.parse("alpine"))
    asked = [f"{one.host}/{one.repository}" for one in endpoints]
    assert asked[0] == "mirror.example.org:5000/docker.io/library/alpine"


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        elsewhere("it has no systemd")
    (unit,) = blocks("ini")
    file = tmp_path / "polyarch-serve.service"
    file.write_text(unit.replace("/usr/local/bin/polyarch", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
