"""Bake files from git repositories and URLs."""

import io
import tarfile
from pathlib import Path

import pytest

from polyarch.bake import remote
from polyarch.bake.remote import BakeWhere
from polyarch.errors import PolyarchError
from tests.bake.test_build import write
from tests.builds.test_git import Repository
from tests.builds.test_git import environment as environment
from tests.program import Program
from tests.registry.faults import Answer, serving

FILES = {
    "docker-bake.hcl": """
target "default" {
  context = "app"
  output = ["out"]
}
target "top" {
  dockerfile-inline = "FROM scratch\\nCOPY app/a /"
  output = ["out"]
}
target "here" {
  context = BAKE_CMD_CONTEXT
  dockerfile-inline = "FROM scratch\\nCOPY local /"
  output = ["out"]
}
""",
    "app/Dockerfile": "FROM scratch\nCOPY a /\n",
    "app/a": "from the repository",
}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    found = Repository(tmp_path / "repository")
    found.commit(FILES)
    return found


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return write(tmp_path / "work", {"local": "from here"})


def test_files_and_contexts_of_a_repository(
    polyarch: Program, repository: Repository, work: Path, environment: dict[str, str]
) -> None:
    for words, name in (((), "a"), (("top",), "a"), (("here",), "local")):
        polyarch("bake", repository.url, *words, cwd=work, env=environment)
        assert (work / "out" / name).read_text() == ("from here" if name == "local" else "from the repository")
        (work / "out" / name).unlink()
    printed = polyarch("bake", "--print", repository.url, cwd=work, env=environment).json()
    assert printed["target"]["default"]["context"] == f"{repository.url}#:app"


def test_files_from_here_with_contexts_of_a_repository(
    polyarch: Program, repository: Repository, work: Path, environment: dict[str, str]
) -> None:
    (work / "more.hcl").write_text('target "default" {\n  tags = ["more"]\n}\n')
    words = ("bake", "-f", "cwd://more.hcl", "-f", "docker-bake.hcl", "--print", repository.url, "here", "default")
    printed = polyarch(*words, cwd=work, env=environment).json()
    assert printed["target"]["default"]["tags"] == ["more"]
    assert printed["target"]["here"]["context"] == "."


def test_a_second_url_is_the_context_of_the_command(
    polyarch: Program, repository: Repository, work: Path, environment: dict[str, str]
) -> None:
    other = f"{repository.url}#main:app"
    words = ("bake", repository.url, other, "--print", "here")
    assert polyarch(*words, cwd=work, env=environment).json()["target"]["here"]["context"] == other


def test_a_fetched_file_may_not_read_this_machine(
    polyarch: Program, repository: Repository, work: Path, environment: dict[str, str]
) -> None:
    repository.commit({"docker-bake.hcl": 'target "default" {\n  context = "cwd:///etc"\n}\n'})
    done = polyarch.fails("bake", repository.url, cwd=work, env=environment)
    assert "--allow=fs.read=/etc" in done.stderr
    (repository.path / "docker-bake.hcl").unlink()
    (repository.path / "docker-bake.hcl").symlink_to("/etc/passwd")
    repository.commit({})
    done = polyarch.fails("bake", repository.url, cwd=work, env=environment)
    assert "the bake file docker-bake.hcl is outside of" in done.stderr


def test_archives_and_single_files(polyarch: Program, work: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in FILES.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    one = b'target "default" {\n dockerfile-inline = "FROM scratch\\nCOPY local /"\n output = ["out"]\n}\n'
    answers = {"/files.tar.gz": packed.getvalue(), "/one.hcl": one, "/large.hcl": b"#" * (3 << 20)}
    with serving(lambda request: Answer(body=answers[request.path])) as server:
        polyarch("bake", f"{server.url}/files.tar.gz", cwd=work)
        assert (work / "out/a").read_text() == "from the repository"
        polyarch("bake", f"{server.url}/one.hcl", cwd=work)
        assert (work / "out/local").read_text() == "from here"
        done = polyarch.fails("bake", f"{server.url}/files.tar.gz", "--set", "default.context=../..", cwd=work)
        assert "Dockerfile" in done.stderr
        done = polyarch.fails("bake", f"{server.url}/files.tar.gz", "-f", "nothing.hcl", cwd=work)
        assert "there is no bake file nothing.hcl in http" in done.stderr
        assert "is too large for a bake file" in polyarch.fails("bake", f"{server.url}/large.hcl", cwd=work).stderr


@pytest.mark.parametrize(
    ("url", "path", "found"),
    [
        ("https://a.b/c.git", ".", "https://a.b/c.git"),
        ("https://a.b/c.git", "app", "https://a.b/c.git#:app"),
        ("https://a.b/c.git#main", "./app/x/", "https://a.b/c.git#main:app/x"),
        ("https://a.b/c.git#main:sub", "app", "https://a.b/c.git#main:sub/app"),
        ("https://a.b/c.git#main:sub", "../app", "https://a.b/c.git#main:sub/app"),
        ("https://a.b/c.git?ref=x&subdir=sub", "app", "https://a.b/c.git?ref=x&subdir=sub%2Fapp"),
        ("https://a.b/c.git?ref=x", "app", "https://a.b/c.git?ref=x#:app"),
        ("git@a.b:c", "/etc", "git@a.b:c#:etc"),
    ],
)
def test_a_directory_of_a_repository(tmp_path: Path, url: str, path: str, found: str) -> None:
    assert BakeWhere(url=url, directory=tmp_path).context(path) == found


def test_a_directory_of_an_archive_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "in/out").symlink_to("/etc")
    where = BakeWhere(url="https://a.b/c.tar", directory=tmp_path / "in")
    assert where.context("../../sub") == tmp_path / "in/sub"
    for path in ("out", "nothing"):
        with pytest.raises(PolyarchError):
            where.context(path)


@pytest.mark.parametrize(
    ("words", "url", "command", "targets"),
    [
        ([], "", "cwd://", ()),
        (["app", "https://a.b/c"], "", "cwd://", ("app", "https://a.b/c")),
        (["https://a.b/c"], "https://a.b/c", "cwd://", ()),
        (["git@a.b:c", "x"], "git@a.b:c", "cwd://", ("x",)),
        (["https://a.b/c", "https://d.e/f", "x"], "https://a.b/c", "https://d.e/f", ("x",)),
    ],
)
def test_the_arguments_of_the_command(words: list[str], url: str, command: str, targets: tuple[str, ...]) -> None:
    assert remote.cut(words) == (BakeWhere(url=url, command=command), targets)


def test_tokens_go_to_the_host_of_the_files_only(tmp_path: Path) -> None:
    from polyarch.buildflags import Surroundings
    from polyarch.oci import platform

    around = Surroundings(
        host=platform.parse("linux/amd64"), variables={"BUILDX_BAKE_GIT_AUTH_TOKEN": "t"}, now=0, directory=tmp_path
    )
    where = BakeWhere(url="https://a.b/c.git", directory=tmp_path)
    token = ["id=GIT_AUTH_TOKEN.a.b,env=BUILDX_BAKE_GIT_AUTH_TOKEN"]
    assert where.secrets("https://A.b/other.git#x", around) == token
    assert where.secrets("https://evil.example/c.git", around) == []
    assert where.secrets(tmp_path, around) == []
