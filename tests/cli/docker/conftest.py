"""Polyarch under docker's names."""

from pathlib import Path

import pytest

from tests.program import Program


class Named(Program):
    """The program under another name: calling it runs `docker …`."""

    def __init__(self, program: Program, link: Path) -> None:
        super().__init__(program.root, program.home)
        self.path = link
        self.env = {**program.env, "PATH": f"{link.parent}:{program.env['PATH']}"}


@pytest.fixture
def docker(polyarch: Program, tmp_path: Path) -> Named:
    """`docker`, first on PATH, written by `polyarch docker-links`."""
    polyarch("docker-links", tmp_path / "links")
    return Named(polyarch, tmp_path / "links" / "docker")


@pytest.fixture
def plugin(polyarch: Program, tmp_path: Path) -> Named:
    """Docker's plugin for buildx."""
    link = tmp_path / "cli-plugins" / "docker-buildx"
    link.parent.mkdir()
    link.symlink_to(polyarch.path)
    return Named(polyarch, link)
