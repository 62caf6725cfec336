"""Flags that contradict each other are refused as buildx refuses them, and what has a daemon in docker is named."""

from pathlib import Path

import pytest

from tests.cli.docker.conftest import Named


@pytest.fixture
def context(tmp_path: Path) -> Path:
    directory = tmp_path / "context"
    directory.mkdir()
    (directory / "Dockerfile").write_text("FROM scratch\nCOPY * /\n")
    return directory


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["-q", "--progress=plain"], "--progress=plain and --quiet cannot be used together"),
        (["--iidfile=i", "-o=type=local,dest=out"], "--iidfile cannot be used with an output of files"),
        (["--iidfile=i", "-o=type=tar,dest=out.tar"], "--iidfile cannot be used with an output of files"),
        (["--no-cache", "--no-cache-filter=a"], "--no-cache and --no-cache-filter cannot be used together"),
        (["--policy=disabled=true", "--policy=reset=true"], "cannot be used with another --policy"),
        (["--annotation=team:a=b"], "--annotation: unknown type 'team'"),
        (["--secret=id=x,type=vault"], "the type is neither file nor env"),
        (["--push"], "a push needs a name"),
    ],
    ids=" ".join,
)
def test_what_contradicts_itself_is_refused_and_nothing_is_written(
    docker: Named, context: Path, words: list[str], cause: str
) -> None:
    failed = docker.fails("buildx", "build", *words, context, cwd=context)
    assert cause in failed.stderr.splitlines()[-1]
    assert failed.stderr.splitlines()[-1].startswith("ERROR: ")
    assert [file.name for file in context.iterdir()] == ["Dockerfile"]


@pytest.mark.parametrize("words", [["-q"], ["-q", "--progress=auto"], ["-q", "--progress=quiet"], ["--iidfile=i"]])
def test_what_only_looks_like_it_is_not(docker: Named, context: Path, words: list[str]) -> None:
    docker("buildx", "build", *words, context, cwd=context, env={"BUILDKIT_PROGRESS": "plain"})


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["create", "--name=default"], "default is a reserved name"),
        (["create", "--append"], "append requires a builder name"),
        (["prune", "-f", "--filter=until=1h", "--filter=unused-for=2h"], "is the second age"),
    ],
    ids=" ".join,
)
def test_builders_refuse_what_buildx_refuses(docker: Named, words: list[str], cause: str) -> None:
    assert cause in docker.fails("buildx", *words).stderr.splitlines()[-1]


def test_a_short_flag_takes_its_value_behind_a_sign_too(docker: Named, context: Path) -> None:
    (context / "Dockerfile").rename(context / "Other")
    docker("build", "-q", "-t=app:1", "-f=Other", "-o=type=oci,dest=a.tar", "-o=type=image", ".", cwd=context)
    assert docker("images", "--format={{.Repository}}:{{.Tag}}").stdout == "app:1\n"
    assert (context / "a.tar").is_file()


@pytest.mark.parametrize("command", ["swarm", "stats", "commit", "attach"])
def test_what_only_a_daemon_can_do_says_so(docker: Named, command: str) -> None:
    last = docker.fails(command, "ls").stderr.splitlines()[-1]
    assert last.startswith(f"ERROR: docker {command} does not exist: Polyarch has no daemon")
