"""Git repositories in ADD and as contexts, read with the git program."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builds.conftest import Worker
from tests.needs import need
from tests.program import run
from tests.registry.faults import Answer, serving

Context = Callable[..., Path]


class Repository:
    """A repository on this machine: `repository.commit({"a": "text"})` gives the commit's name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.git("init", "--quiet", "--initial-branch=main", str(path), cwd=path.parent)
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")

    @property
    def url(self) -> str:
        """ADD does not accept `file://` as a repository, so tests use an ssh name that leads here."""
        return f"git@test.invalid:{self.path}"

    def git(self, *words: str, cwd: Path | None = None) -> str:
        date = f"{1_000_000_000 + self.count} +0000"
        people = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        env = {**os.environ, **people, **dates, "GIT_CONFIG_GLOBAL": "/dev/null"}
        return run(["git", "-c", "protocol.file.allow=always", *words], cwd=cwd or self.path, env=env).stdout.strip()

    def commit(self, files: dict[str, str]) -> str:
        self.count += 1
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755 if text.startswith("#!") else 0o644)
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", "a commit")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Environment variables for git: its ssh runs the command locally, so ssh names need no server."""
    need("git")
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    ssh.chmod(0o755)
    config = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "protocol.file.allow", "GIT_CONFIG_VALUE_0": "always"}
    return {"HOME": str(tmp_path), "GIT_SSH_COMMAND": str(ssh), "GIT_SSH_VARIANT": "ssh", **config}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    need("git")
    (tmp_path / "repositories").mkdir()
    return Repository(tmp_path / "repositories" / "code")


def lines(worker: Worker, context: Path | str, environment: dict[str, str], **options: object) -> list[str]:
    image = worker.images(context, environment=environment, **options)["linux/amd64"]
    return [file.line(path, times=True) for path, file in image.files().items()]


def test_the_tree_of_the_default_branch_is_added_with_the_commits_time(
    worker: Worker, context: Context, repository: Repository, environment: dict[str, str]
) -> None:
    repository.commit({"a": "a", "bin/run": "#!/bin/sh"})
    assert lines(worker, context(f"FROM scratch\nADD {repository.url} /src/"), environment) == [
        "0755 0:0 src/ @0",
        "0644 0:0 src/a = a @1000000001",
        "0755 0:0 src/bin/ @1000000001",
        "0755 0:0 src/bin/run = #!/bin/sh @1000000001",
    ]


@pytest.mark.parametrize("ref", ["v1", "#v1", "tag", "branch", "commit", "refs/tags/v1"])
def test_what_a_reference_may_be(
    worker: Worker, context: Context, repository: Repository, environment: dict[str, str], ref: str
) -> None:
    first = repository.commit({"a": "first"})
    repository.git("tag", "-a", "-m", "annotated", "v1")
    repository.git("branch", "old")
    repository.commit({"a": "second"})
    fragment = {"commit": first, "tag": "v1", "branch": "old"}.get(ref, ref.removeprefix("#"))
    found = lines(worker, context(f"FROM scratch\nADD {repository.url}#{fragment} /"), environment)
    assert found == ["0644 0:0 a = first @1000000001"]


def test_a_branch_wins_over_a_tag_of_its_name(
    worker: Worker, context: Context, repository: Repository, environment: dict[str, str]
) -> None:
    repository.commit({"a": "tagged"})
    repository.git("tag", "same")
    repository.git("checkout", "--quiet", "-b", "same")
    repository.commit({"a": "branch"})
    found = lines(worker, context(f"FROM scratch\nADD {repository.url}#same /"), environment)
    assert found == ["0644 0:0 a = branch @1000000002"]


def test_a_subdirectory_is_added_alone_and_an_absent_one_is_an_error(
    worker: Worker, context: Context, repository: Repository, environment: dict[str, str]
) -> None:
    repository.commit({"top": "no", "one/two/a": "a"})
    found = lines(worker, context(f"FROM scratch\nADD {repository.url}#main:one/two /"), environment)
    assert found == ["0644 0:0 a = a @1000000001"]
    outcome = worker.build(context(f"FROM scratch\nADD {repository.url}#:none /"), environment=environment)
    assert "none" in outcome["error"]


def test_a_subdirectory_cannot_lead_out(
    worker: Worker, context: Context, repository: Repository, environment: dict[str, str]
) -> None:
    (repository.path / "out").symlink_to("/etc")
    repository.commit({"a": "a"})
    outcome = worker.build(context(f"FROM scratch\nADD {repository.url}#:out /"), environment=environment)
    assert "the repository has no directory 'out'" in outcome["error"]


def test_the_git_directory_is_kept_when_asked(
    worker: Worker, context: Context, repository: Repository, environment: dict[str, str]
) -> None:
    commit = repository.commit({"a": "a"})
    directory = context(f"FROM scratch\nADD --keep-git-dir=true {repository.url} /")
    files = worker.images(directory, environment=environment)["linux/amd64"].files()
    assert files[".git/HEAD"].content.decode().strip() == commit


def test_a_reference_that_is_not_there(
    worker: Worker, context: Context, repository: Repository, environment: dict[str, str]
) -> None:
    repository.commit({"a": "a"})
    outcome = worker.build(context(f"FROM scratch\nADD {repository.url}#missing /"), environment=environment)
    assert "does not contain ref 'missing'" in outcome["error"]
    assert "Dockerfile:2" in outcome["error"]


def test_a_repository_that_is_not_there(worker: Worker, context: Context, environment: dict[str, str]) -> None:
    outcome = worker.build(context("FROM scratch\nADD git@test.invalid:/nowhere.git /"), environment=environment)
    assert "git ls-remote failed" in outcome["error"]


def test_a_checksum_pins_the_commit(
    worker: Worker, context: Context, repository: Repository, environment: dict[str, str]
) -> None:
    commit = repository.commit({"a": "a"})
    right = context(f"FROM scratch\nADD --checksum={commit[:12]} {repository.url}#main /")
    assert lines(worker, right, environment) == ["0644 0:0 a = a @1000000001"]
    repository.commit({"a": "b"})
    outcome = worker.build(right, environment=environment)
    assert f"expected checksum to match {commit[:12]}" in outcome["error"]


def test_fetch_by_commit_takes_the_commit_wherever_the_reference_is(
    worker: Worker, context: Context, repository: Repository, environment: dict[str, str]
) -> None:
    commit = repository.commit({"a": "a", "Dockerfile": "FROM scratch\nCOPY a /b"})
    repository.commit({"a": "b"})
    url = f"ssh://git@test.invalid{repository.path}"
    query = f"ref=main&checksum={commit}&fetch-by-commit"
    assert lines(worker, context(f"FROM scratch\nADD --exclude=Dockerfile {url}?{query} /"), environment) == [
        "0644 0:0 a = a @1000000001"
    ]
    by_flag = f"FROM scratch\nADD --checksum={commit} {url}?ref=main&fetch-by-commit=true /"
    assert lines(worker, context(by_flag), environment)[1] == "0644 0:0 a = a @1000000001"
    image = worker.images(f"{url}?{query}=1", environment=environment)["linux/amd64"]
    assert image.files()["b"].content == b"a"
    assert "expected checksum" in worker.build(f"{url}?{query}=false", environment=environment)["error"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("fetch-by-commit", "fetch-by-commit requires a checksum or a commit SHA ref"),
        ("ref=main&fetch-by-commit=1&commit=abcdef", "fetch-by-commit requires a full commit SHA checksum"),
        ("fetch-by-commit=perhaps", "invalid fetch-by-commit value"),
        ("mtime=never", "invalid mtime value"),
        ("ref=a&ref=b", 'query "ref" has multiple values'),
    ],
)
def test_a_query_that_says_too_little_or_too_much(
    worker: Worker, context: Context, environment: dict[str, str], query: str, words: str
) -> None:
    directory = context(f"FROM scratch\nADD https://test.invalid/x.git?{query} /")
    assert words in worker.build(directory, environment=environment)["error"]


def test_a_new_commit_is_noticed_and_an_old_one_is_not_fetched_again(
    worker: Worker, context: Context, repository: Repository, environment: dict[str, str]
) -> None:
    commit = repository.commit({"a": "one"})
    moving, fixed = (context(f"FROM scratch\nADD {repository.url}{ref} /") for ref in ("", f"#{commit}"))
    assert lines(worker, moving, environment) == lines(worker, fixed, environment)
    repository.commit({"a": "two"})
    assert lines(worker, moving, environment) == ["0644 0:0 a = two @1000000002"]
    repository.path.rename(repository.path.with_name("gone"))
    assert lines(worker, fixed, environment) == ["0644 0:0 a = one @1000000001"]


def test_submodules_come_too(
    worker: Worker, context: Context, repository: Repository, environment: dict[str, str]
) -> None:
    inner = Repository(repository.path.with_name("inner"))
    inner.commit({"deep": "d"})
    repository.commit({"a": "a"})
    repository.git("submodule", "--quiet", "add", f"file://{inner.path}", "lib")
    repository.commit({})
    image = worker.images(context(f"FROM scratch\nADD {repository.url} /"), environment=environment)["linux/amd64"]
    assert sorted(image.files()) == [".gitmodules", "a", "lib", "lib/deep"]


def test_a_repository_may_be_the_context(worker: Worker, repository: Repository, environment: dict[str, str]) -> None:
    repository.commit({"sub/Dockerfile": "FROM scratch\nCOPY a /b", "sub/a": "a", "sub/.dockerignore": "a"})
    image = worker.images(f"{repository.url}#main:sub", environment=environment)["linux/amd64"]
    assert list(image.files()) == ["b"]


def test_another_dockerfile_of_a_repository_may_be_named(
    worker: Worker, repository: Repository, environment: dict[str, str]
) -> None:
    repository.commit({"docker/Other": "FROM scratch\nLABEL a=b"})
    image = worker.images(repository.url, file="docker/Other", environment=environment)["linux/amd64"]
    assert image.config["config"]["Labels"] == {"a": "b"}


def test_a_repository_may_be_a_named_context(
    worker: Worker, context: Context, repository: Repository, environment: dict[str, str]
) -> None:
    repository.commit({"a": "a"})
    directory = context("FROM scratch\nCOPY --from=code a /b")
    image = worker.images(directory, contexts={"code": repository.url}, environment=environment)["linux/amd64"]
    assert list(image.files()) == ["b"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GIT_AUTH_TOKEN", "basic eC1hY2Nlc3MtdG9rZW46aHVzaA=="),
        ("GIT_AUTH_HEADER", "hush"),
        ("GIT_AUTH_TOKEN.{host}", "basic eC1hY2Nlc3MtdG9rZW46aHVzaA=="),
        ("GIT_AUTH_TOKEN.other.host", ""),
    ],
)
def test_a_token_among_the_secrets_is_sent_to_its_host_and_shown_to_nobody(
    worker: Worker, context: Context, environment: dict[str, str], name: str, expected: str
) -> None:
    with serving(lambda asked: Answer(403)) as server:
        secrets = {name.replace("{host}", server.address): "hush"}
        directory = context(f"FROM scratch\nADD {server.url}/private.git /")
        outcome = worker.build(directory, environment=environment, secrets=secrets)
    assert server.asked[0].path == "/private.git/info/refs"
    assert server.asked[0].authorization == expected
    assert "hush" not in outcome["error"]
    assert "403" in outcome["error"]
