"""ADD of URLs: fetched once, verified, and revalidated only when needed."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builds.conftest import Worker
from tests.registry.faults import Answer, Asked, Server, serving

Context = Callable[..., Path]

_DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
_SECONDS = 1445412480


class Files:
    """What a server has: path → (body, headers). It answers 304 to requests with the current ETag or time."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.cut = 0

    def answer(self, asked: Asked) -> Answer:
        if asked.path not in self.files:
            return Answer(404)
        body, headers = self.files[asked.path]
        known = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
        if any(name in headers and asked.headers.get(known[name]) == headers[name] for name in known):
            return Answer(304, headers)
        if self.cut:
            self.cut -= 1
            return Answer(200, headers, body, cut=len(body) // 2)
        return Answer(200, headers, body)


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.fixture
def server(files: Files) -> Iterator[Server]:
    with serving(files.answer) as running:
        yield running


def test_a_url_is_one_file_for_root_with_the_servers_time(
    worker: Worker, context: Context, files: Files, server: Server
) -> None:
    files.files["/dir/a%20b.txt"] = (b"text", {"Last-Modified": _DATE})
    images = worker.images(context(f"FROM scratch\nADD {server.url}/dir/a%20b.txt?x=1 /d/"), platforms=["linux/amd64"])
    found = images["linux/amd64"].files()
    assert [file.line(path, times=True) for path, file in found.items()] == [
        "0755 0:0 d/ @0",
        f"0600 0:0 d/a\\sb.txt = text @{_SECONDS}",
    ]


def test_a_url_without_a_name_to_a_name(worker: Worker, context: Context, files: Files, server: Server) -> None:
    files.files["/"] = (b"root", {})
    images = worker.images(context(f"FROM scratch\nADD --chmod=644 {server.url}/ /index.html"))
    for image in images.values():
        assert [file.line(path) for path, file in image.files().items()] == ["0644 0:0 index.html = root"]
        assert image.history() == [f"+ ADD --chmod=644 {server.url}/ /index.html # buildkit"]


def test_a_file_is_fetched_once_for_all_platforms(
    worker: Worker, context: Context, files: Files, server: Server
) -> None:
    files.files["/f"] = (b"once", {})
    worker.images(context(f"FROM scratch\nADD {server.url}/f /a\nADD {server.url}/f /b"))
    assert server.lines() == ["GET /f"]


@pytest.mark.parametrize("header", [{"ETag": '"v1"'}, {"Last-Modified": _DATE}])
def test_a_file_is_not_sent_again_while_it_is_the_same(
    worker: Worker, context: Context, files: Files, server: Server, header: dict[str, str]
) -> None:
    files.files["/f"] = (b"same", header)
    directory = context(f"FROM scratch\nADD {server.url}/f /a")
    first = worker.images(directory)
    assert worker.images(directory).keys() == first.keys()
    names = [name for name in ("If-None-Match", "If-Modified-Since") if server.asked[1].headers.get(name)]
    assert len(server.asked) == 2
    assert len(names) == 1


def test_a_file_that_changed_makes_another_layer(
    worker: Worker, context: Context, files: Files, server: Server
) -> None:
    files.files["/f"] = (b"one", {"ETag": '"1"'})
    directory = context(f"FROM scratch\nADD {server.url}/f /a")
    worker.images(directory)
    files.files["/f"] = (b"two", {"ETag": '"2"'})
    assert worker.images(directory)["linux/amd64"].files()["a"].content == b"two"


def test_a_known_checksum_needs_no_network(worker: Worker, context: Context, files: Files, server: Server) -> None:
    body = b"pinned"
    files.files["/f"] = (body, {})
    checksum = f"sha256:{hashlib.sha256(body).hexdigest()}"
    directory = context(f"FROM scratch\nADD --checksum={checksum} {server.url}/f /a")
    worker.images(directory)
    worker.images(directory)
    assert len(server.asked) == 1


def test_a_checksum_is_not_satisfied_by_what_another_url_gave(
    worker: Worker, context: Context, files: Files, server: Server
) -> None:
    files.files["/1"] = (b"right", {})
    files.files["/2"] = (b"wrong", {})
    checksum = f"sha256:{hashlib.sha256(b'right').hexdigest()}"
    one, two, three = (context(f"FROM scratch\nADD --checksum={checksum} {server.url}/{name} /f") for name in "123")
    worker.images(one)
    assert "digest mismatch" in worker.build(two)["error"]
    assert "404" in worker.build(three)["error"]


def test_without_the_cache_a_file_is_fetched_again(
    worker: Worker, context: Context, files: Files, server: Server
) -> None:
    files.files["/f"] = (b"same", {"ETag": '"v1"'})
    checksum = f"sha256:{hashlib.sha256(b'same').hexdigest()}"
    directory = context(f"FROM scratch\nADD --checksum={checksum} {server.url}/f /a")
    worker.images(directory)
    worker.images(directory, no_cache=True)
    assert [asked.headers.get("If-None-Match") for asked in server.asked] == [None, None]


def test_a_wrong_checksum_is_refused(worker: Worker, context: Context, files: Files, server: Server) -> None:
    files.files["/f"] = (b"other", {})
    wanted = f"sha256:{hashlib.sha256(b'expected').hexdigest()}"
    outcome = worker.build(context(f"FROM scratch\nADD --checksum={wanted} {server.url}/f /a"))
    assert f"digest mismatch sha256:{hashlib.sha256(b'other').hexdigest()}: {wanted}" in outcome["error"]
    assert "Dockerfile:2" in outcome["error"]


def test_a_checksum_may_be_of_another_algorithm(worker: Worker, context: Context, files: Files, server: Server) -> None:
    files.files["/f"] = (b"long", {})
    right = f"sha512:{hashlib.sha512(b'long').hexdigest()}"
    wrong = f"sha512:{hashlib.sha512(b'short').hexdigest()}"
    worker.images(context(f"FROM scratch\nADD --checksum={right} {server.url}/f /a"))
    assert (
        "digest mismatch" in worker.build(context(f"FROM scratch\nADD --checksum={wrong} {server.url}/f /a"))["error"]
    )


def test_a_file_that_is_not_there(worker: Worker, context: Context, server: Server) -> None:
    outcome = worker.build(context(f"FROM scratch\nADD {server.url}/missing /a"))
    assert outcome["kind"] in ("NotFoundError", "BuildError")
    assert "/missing" in outcome["error"]
    assert "404" in outcome["error"]


def test_a_connection_that_is_cut_is_tried_again(
    worker: Worker, context: Context, files: Files, server: Server
) -> None:
    files.files["/f"] = (b"x" * 5000, {})
    files.cut = 1
    assert (
        len(worker.images(context(f"FROM scratch\nADD {server.url}/f /a"))["linux/amd64"].files()["a"].content) == 5000
    )


def test_an_archive_behind_a_url_is_unpacked_only_when_asked(
    worker: Worker, context: Context, files: Files, server: Server
) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        member = tarfile.TarInfo("inside")
        member.size = 2
        tar.addfile(member, io.BytesIO(b"in"))
    files.files["/a.tgz"] = (raw.getvalue(), {})
    image = worker.images(
        context(f"FROM scratch\nADD {server.url}/a.tgz /x/\nADD --unpack=true {server.url}/a.tgz /y/")
    )
    found = image["linux/amd64"].files()
    assert sorted(found) == ["x", "x/a.tgz", "y", "y/inside"]
    assert found["y/inside"].content == b"in"


def test_a_context_that_is_an_archive_behind_a_url(worker: Worker, files: Files, server: Server) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:bz2") as tar:
        for name, content in (("Dockerfile", b"FROM scratch\nCOPY a /b"), ("a", b"a"), (".dockerignore", b"a")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    files.files["/context.tar.bz2"] = (raw.getvalue(), {})
    # BuildKit applies no .dockerignore to what does not come from this machine.
    assert list(worker.images(f"{server.url}/context.tar.bz2")["linux/amd64"].files()) == ["b"]


def test_a_context_that_is_a_dockerfile_behind_a_url(worker: Worker, files: Files, server: Server) -> None:
    files.files["/Dockerfile"] = (b"FROM scratch\nLABEL a=b", {})
    assert worker.images(f"{server.url}/Dockerfile")["linux/amd64"].config["config"]["Labels"] == {"a": "b"}


def test_a_named_context_may_be_behind_a_url(worker: Worker, context: Context, files: Files, server: Server) -> None:
    files.files["/one"] = (b"a file", {})
    contexts = {"remote": f"{server.url}/one"}
    image = worker.images(context("FROM scratch\nCOPY --from=remote / /"), contexts=contexts)["linux/amd64"]
    assert image.files()["context"].content == b"a file"


def test_a_password_in_a_url_is_sent_and_not_shown(worker: Worker, context: Context, server: Server) -> None:
    address = server.address
    outcome = worker.build(context(f"FROM scratch\nADD http://ada:secret@{address}/missing /a"))
    assert server.asked[0].authorization.startswith("Basic ")
    message = outcome["error"].split("\n")[0]
    assert "secret" not in message
