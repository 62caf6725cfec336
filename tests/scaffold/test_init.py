"""`polyarch init`: what it writes builds for two platforms. `make init-test` builds the other languages."""

import re
from pathlib import Path

import pytest

from tests import bases
from tests.program import Program
from tests.scaffold.projects import PROJECTS, made, write

PLATFORMS = ("linux/amd64", "linux/arm64")
WRITTEN = ["Dockerfile", ".dockerignore", "docker-bake.hcl"]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that has a busybox under each name with which the Dockerfiles begin."""
    directory = tmp_path_factory.mktemp("init")
    polyarch = Program(directory / "store", directory)
    bases.import_busybox(polyarch, platforms=PLATFORMS)
    texts = "".join(made(name).files["Dockerfile"] for name in PROJECTS)
    names = sorted(set(re.findall(r"^FROM (?:--\S+ )?(\S+:\S+)", texts, re.MULTILINE)))
    tags = [f"--tag={name}" for name in names]
    polyarch("build", f"--platform={','.join(PLATFORMS)}", *tags, "-", stdin="FROM busybox\n")
    return directory / "store"


@pytest.fixture
def based(template: Path, polyarch: Program) -> Program:
    bases.copy_store(template, polyarch.root)
    return polyarch


def test_what_is_written_for_each_project_passes_the_checks_of_a_build(based: Program, tmp_path: Path) -> None:
    targets = ""
    for name in PROJECTS:
        project = write(name, tmp_path / name)
        for file, text in made(name).files.items():
            (project / file).write_text(text)
        targets += f'target "{name}" {{\n  context = "{name}"\n  platforms = {list(PLATFORMS)}\n}}\n'.replace("'", '"')
    (tmp_path / "docker-bake.hcl").write_text(targets)
    checked = based("bake", "--check", *PROJECTS, cwd=tmp_path).stdout
    assert checked.count("no warnings found") == len(PROJECTS), checked


@pytest.mark.parametrize("name", ["python", "static"])
def test_a_project_is_built_for_two_platforms_as_its_bake_file_says(name: str, based: Program, tmp_path: Path) -> None:
    project = write(name, tmp_path / "My Site")
    based("init", ".", cwd=project)
    based("bake", cwd=project)
    (image,) = based("inspect", "my-site:latest").json()
    assert image["Config"]["User"] in ("65532:65532", "101")
    for platform in PLATFORMS:
        place = {"python": "/app", "static": "/usr/share/nginx/html"}[name]
        listed = based("run", "--rm", f"--platform={platform}", "my-site", "ls", "-A", place).lines()
        assert listed == sorted(PROJECTS[name])


def test_it_says_what_it_found_and_why(polyarch: Program, tmp_path: Path) -> None:
    said = polyarch("init", write("go-cmd", tmp_path)).stderr
    assert "go.mod: a Go module" in said
    assert "cmd/hello/main.go: the program; there are also cmd/other" in said
    assert "Wrote Dockerfile, .dockerignore, docker-bake.hcl" in said
    assert (tmp_path / "Dockerfile").stat().st_mode & 0o777 == 0o644


def test_print_writes_nothing(polyarch: Program, tmp_path: Path) -> None:
    project = write("static", tmp_path / "site")
    printed = polyarch("init", "--print", project).stdout
    assert all(f"# {name}\n" in printed for name in WRITTEN)
    assert sorted(file.name for file in project.iterdir()) == sorted(PROJECTS["static"])


def test_files_that_exist_are_kept_and_then_nothing_else_is_written(polyarch: Program, tmp_path: Path) -> None:
    project = write("static", tmp_path / "site")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    (project / "docker-bake.hcl").symlink_to(elsewhere)
    error = polyarch.fails("init", project).stderr
    assert "already has docker-bake.hcl" in error
    assert "--force" in error
    assert not (project / "Dockerfile").exists()
    polyarch("init", "--force", project)
    assert elsewhere.read_text() == "mine"
    assert 'target "app"' in (project / "docker-bake.hcl").read_text()
    assert sorted(file.name for file in project.iterdir()) == sorted([*PROJECTS["static"], *WRITTEN])


def test_an_unknown_or_absent_directory_is_an_error(polyarch: Program, tmp_path: Path) -> None:
    assert "recognized: Go (go.mod)" in polyarch.fails("init", tmp_path).stderr
    assert "there is no directory" in polyarch.fails("init", tmp_path / "absent").stderr
