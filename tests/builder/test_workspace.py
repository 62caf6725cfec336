"""When a build opens its context: not before the Dockerfile is known to parse, where that is not in the context."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from polyarch.builder.workspace import Workspace
from polyarch.buildflags import Surroundings, request
from polyarch.dockerfile.source import DockerfileError
from polyarch.errors import NotFoundError, PolyarchError
from polyarch.oci.platform import parse
from polyarch.registry import Registry, credentials, hosts
from polyarch.store import Store
from tests.registry.faults import Answer, Server, serving


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def server() -> Iterator[Server]:
    """A web server with a context, whose Dockerfile is broken, at every path."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(b"FORM a")
        archive.addfile(entry, io.BytesIO(b"FORM a"))
    with serving(lambda asked: Answer(200, {}, content.getvalue())) as opened:
        yield opened


def opened(store: Store, context: Any, **options: Any) -> Workspace:
    around = Surroundings(host=parse("linux/amd64"), variables={}, now=0.0)
    registry = Registry(hosts.load(), credentials.Credentials(None), "tests")
    return Workspace(request(context, around, **options), store, registry)


def test_a_dockerfile_that_does_not_parse_is_known_before_anything_is_fetched(store: Store, server: Server) -> None:
    with opened(store, f"http://{server.address}/c.tar", dockerfile="FORM a") as workspace:
        with pytest.raises(DockerfileError):
            _ = workspace.dockerfile
        assert server.asked == []


def test_the_context_is_fetched_once(store: Store, server: Server) -> None:
    with opened(store, f"http://{server.address}/c.tar", dockerfile="FROM scratch\nCOPY Dockerfile /") as workspace:
        assert workspace.dockerfile.text.startswith("FROM scratch")
        assert server.asked == []
        for _ in range(2):
            files = workspace.contexts.open("").files
        assert files.entry("Dockerfile") is not None
        assert len(server.asked) == 1


def test_a_dockerfile_in_a_fetched_context_is_read_from_there(store: Store, server: Server) -> None:
    with opened(store, f"http://{server.address}/c.tar") as workspace:
        with pytest.raises(DockerfileError):
            _ = workspace.dockerfile
        assert len(server.asked) == 1


def test_what_was_fetched_is_gone_when_the_build_ends(store: Store, server: Server) -> None:
    with opened(store, f"http://{server.address}/c.tar", dockerfile="FROM scratch") as workspace:
        root = workspace.contexts.open("").root
        assert root.is_dir()
    assert not root.exists()


def test_a_directory_that_is_missing_is_named_before_its_dockerfile(store: Store, tmp_path: Path) -> None:
    with (
        opened(store, tmp_path / "missing") as workspace,
        pytest.raises(NotFoundError, match=r"there is no directory .*/missing"),
    ):
        _ = workspace.dockerfile


def test_a_build_without_a_context_has_no_files(store: Store) -> None:
    with opened(store, None, dockerfile="FROM scratch") as workspace:
        assert workspace.dockerfile.text == "FROM scratch"
        with pytest.raises(PolyarchError, match="there is no build context"):
            workspace.contexts.open("")
