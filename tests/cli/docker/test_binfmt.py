"""The calls about the image tonistiigi/binfmt, in the order of docker's action setup-qemu."""

from pathlib import Path

import pytest

from tests.cli.docker.conftest import Named
from tests.program import Program

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    "image", ["tonistiigi/binfmt", "docker.io/tonistiigi/binfmt:latest", "tonistiigi/binfmt:qemu-v9"]
)
def test_the_action_s_calls_are_answered(docker: Named, polyarch: Program, tmp_path: Path, image: str) -> None:
    kept = tmp_path / "binfmt.tar"
    docker("pull", image)
    docker("save", "-o", kept, image)
    assert docker("load", "-i", kept).stdout.startswith("Loaded image: ")
    assert docker("image", "inspect", image).json()
    assert docker("run", "--rm", "--privileged", image, "--version").stdout
    docker("run", "--rm", "--privileged", image, "--uninstall", "qemu-*")
    docker("run", "--rm", "--privileged", image, "--install", "all")
    found = docker("run", "--rm", "--privileged", image).json()
    able = [row.split()[0] for row in polyarch("platforms").lines()[1:] if "missing" not in row]
    assert found["supported"] == able
    assert "qemu-aarch64" in found["emulators"]
    assert docker("images", "-q").stdout == "", "nothing was fetched"


def test_an_emulator_that_is_not_here_is_not_installed(docker: Named) -> None:
    failed = docker.fails("run", "--rm", "--privileged", "tonistiigi/binfmt", "--install", "arm64,riscv64,vax")
    assert failed.stderr.splitlines()[-1].startswith("ERROR: this machine cannot run programs for linux/vax")


@pytest.mark.parametrize(
    ("image", "arguments"),
    [
        ("multiarch/qemu-user-static", ["--reset", "-p", "yes"]),
        ("multiarch/qemu-user-static:register", ["--reset", "--credential", "yes"]),
        ("docker.io/linuxkit/binfmt:v0.8", []),
        ("docker/binfmt:a7996909642ee92942dcd6cff44b9b95f08dad64", []),
        ("aptman/qus", ["-s", "--", "-p", "aarch64"]),
        ("hypriot/qemu-register", []),
    ],
)
def test_older_images_that_register_emulators_are_not_needed(docker: Named, image: str, arguments: list[str]) -> None:
    done = docker("run", "--rm", "--privileged", image, *arguments)
    assert done.stderr.startswith("nothing was registered")
    assert docker("images", "-q").stdout == "", "nothing was fetched"
    without = docker.fails("run", "--rm", "--pull=never", image, *arguments)
    assert "No such image" in without.stderr, "an image like others"


def test_other_images_and_archives_are_not_taken_for_it(docker: Named, tmp_path: Path) -> None:
    assert "No such image" in docker.fails("save", "-o", tmp_path / "x.tar", "tonistiigi/binfmts").stderr
    (tmp_path / "other.tar").write_bytes(b"no archive")
    docker.fails("load", "-i", tmp_path / "other.tar")
