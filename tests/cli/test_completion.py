"""Completion: what a shell asks, and what bash makes of the answers."""

from pathlib import Path

import pytest

from tests.program import Program, run

_DOCKERFILE = "FROM scratch AS base\nCOPY file /\nFROM base AS tested\nFROM base AS published\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    (project / "Dockerfile").write_text(_DOCKERFILE)
    (project / "file").write_text("x")
    return project


def completed(polyarch: Program, line: str, directory: Path, name: str = "polyarch") -> list[str]:
    """What bash offers at the end of `line`, with its own separators of words."""
    alias = ["--alias", name] if name != "polyarch" else []
    text = polyarch("completion", "bash", *alias).stdout
    script = f"PATH={polyarch.path.parent}:$PATH\n{text}\nCOMP_LINE=$1 COMP_POINT=${{#1}}\n_{name}_completion {name}\n"
    script += 'for word in "${COMPREPLY[@]}"; do echo "$word"; done'
    # compopt complains that no completion runs.
    done = run(["bash", "-c", script, "bash", line], env=polyarch.env, cwd=directory, check=False)
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("polyarch mani", ["manifest"]),
        ("polyarch build --platf", ["--platform"]),
        ("polyarch build --platform linux/arm/v", ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"]),
        ("polyarch build --platform=linux/ppc", ["linux/ppc64le"]),
        ("polyarch build --platform linux/s390x,linux/s", []),
        ("polyarch build --platform linux/s390x,linux/ri", ["linux/s390x,linux/riscv64"]),
        ("polyarch build --target t", ["tested"]),
        ("polyarch build -f ../project/Dockerfile --target p", ["published"]),
        ("polyarch build --target nope", []),
        ("polyarch build 'unfinished --target ", []),
    ],
)
def test_bash_completes_commands_flags_platforms_and_stages(
    polyarch: Program, project: Path, line: str, words: list[str]
) -> None:
    assert completed(polyarch, line, project) == words


def test_an_image_with_a_port_is_completed_behind_the_colon_where_bash_splits_words(
    polyarch: Program, project: Path
) -> None:
    polyarch("build", "-q", "-t", "localhost:5000/team/app:1", project)
    assert completed(polyarch, "polyarch push localhost:50", project) == ["5000/team/app:1"]
    assert completed(polyarch, "polyarch push local", project) == ["localhost:5000/team/app:1"]
    assert completed(polyarch, "polyarch push localhost:5000/team/app:", project) == ["1"]


def test_the_words_of_an_alias_are_completed_too(polyarch: Program, project: Path) -> None:
    assert completed(polyarch, "docker build --target t", project, name="docker") == ["tested"]
    for shell in ("zsh", "fish"):
        text = polyarch("completion", shell, "--alias", "docker").stdout
        assert f"_POLYARCH_COMPLETE={shell}_complete" in text
        assert "docker_completion" in text
        assert "commands[docker]" not in text


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("polyarch build ./pro", "file,./pro"),
        ("polyarch load -i arc", "file,arc"),
        ("polyarch docker-links bi", "dir,bi"),
        ("polyarch --root /va", "dir,/va"),
    ],
)
def test_paths_are_left_to_the_shell(polyarch: Program, line: str, answer: str) -> None:
    asked = {"_POLYARCH_COMPLETE": "bash_complete", "COMP_TEXT": line, "COMP_BREAKS": ":="}
    assert polyarch(env=asked).stdout.splitlines() == [answer]
