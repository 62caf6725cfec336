"""Builds as real projects call them are understood: everything but the work is done, by `--call=check`."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from polyarch.cli.docker.errors import DockerErrors
from polyarch.cli.docker.program import program
from polyarch.cli.execute import _run, _status
from polyarch.cli.personality import Personality
from tests import trees

INVOCATIONS = [
    line for line in Path(__file__).with_name("invocations.txt").read_text().splitlines() if not line.startswith("#")
]


@pytest.fixture
def check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[[str], tuple[int, str]]:
    """Run a command line of `docker` in this process, with `--call=check`: its status, and what it said as error."""
    dockerfile = "FROM scratch AS one\nCOPY Dockerfile /\n"
    trees.write(tmp_path / "c", {"Dockerfile": dockerfile, "build/Dockerfile": dockerfile})
    monkeypatch.chdir(tmp_path / "c")
    variables = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "POLYARCH_ROOT": str(tmp_path / "store")}
    errors = DockerErrors(debug=False, colour=False)

    def run(line: str) -> tuple[int, str]:
        words = [*shlex.split(line), "--call=check"]
        status = _status(lambda: _run(words, variables, errors, Personality("docker", program, DockerErrors)), errors)
        return status, capfd.readouterr().err

    return run


@pytest.mark.parametrize("line", INVOCATIONS)
def test_a_build_of_a_real_project_is_understood(line: str, check: Callable[[str], tuple[int, str]]) -> None:
    status, said = check(line)
    assert status == 0, said


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("buildx build --tag '' .", "an image name is empty"),
        ("buildx build --label '' .", "--label: '' is not KEY=VALUE"),
        ("buildx build --build-arg '' .", "--build-arg: '' is not NAME=VALUE"),
        ("buildx build --provenance=max .", "--provenance: 'max' is not a KEY=VALUE"),
        ("buildx build -o type=docker,push=true .", "push=true is not supported with type=docker"),
        ("buildx build -o type=image,compatibility-version=10 .", "compatibility-version=10 is not supported"),
        ("buildx build -t x . push", "push"),
    ],
)
def test_what_buildx_refuses_or_we_cannot_do_is_an_error(
    line: str, error: str, check: Callable[[str], tuple[int, str]]
) -> None:
    status, said = check(line)
    assert status == 1
    assert error in said.splitlines()[-1]
