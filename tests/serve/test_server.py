"""The server as clients and people meet it."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from polyarch.errors import PolyarchError
from polyarch.images.prune import prune
from polyarch.oci import digest as digests
from polyarch.oci.document import Index
from polyarch.serve import server
from polyarch.serve.settings import ServeSettings
from polyarch.serve.surroundings import ServeSurroundings
from polyarch.store import Store
from tests.program import Program
from tests.serve.requests import Requests
from tests.store.images import image


def test_a_pushed_image_is_in_the_store_under_localhost(ask: Requests, store_root: Path) -> None:
    digest = ask.image("team/app", "1")
    with Store.open(store_root) as store:
        assert store.resolve("localhost/team/app:1").digest == digest


def test_an_image_of_the_store_is_served(ask: Requests, store_root: Path) -> None:
    with Store.open(store_root) as store:
        made = image(store, b"layer", "docker.io/library/alpine:3")
    for repository in ("alpine", "library/alpine", "docker.io/library/alpine"):
        got = ask("GET", f"/v2/{repository}/manifests/3")
        assert (got.status, got.body) == (200, made.raw)
        assert got.headers["docker-content-digest"] == made.digest
        assert got.headers["content-type"] == made.media_type
        assert ask("GET", f"/v2/{repository}/blobs/{made.layers[0].digest}").body
        assert ask("GET", f"/v2/{repository}/tags/list").json() == {"name": repository, "tags": ["3"]}
    assert ask("GET", "/v2/other/manifests/3").code == "MANIFEST_UNKNOWN"
    assert ask("GET", "/v2/other/tags/list").code == "NAME_UNKNOWN"


def test_an_index_takes_in_the_manifests_that_were_pushed_by_digest(ask: Requests, store_root: Path) -> None:
    members = [ask.image("team/app", "", layer) for layer in (b"one", b"two")]
    with Store.open(store_root) as store:
        assert {one.digest for one in store.kept()} == set(members)
        assert ask.index("team/app", "1", members).status == 201
        assert store.kept() == ()
    assert all(ask("GET", f"/v2/team/app/manifests/{one}").status == 200 for one in members)
    assert ask("GET", f"/v2/other/manifests/{members[0]}").status == 404


def test_a_range_of_a_blob(ask: Requests) -> None:
    content = bytes(range(256)) * 40
    path = f"/v2/x/blobs/{ask.blob('x', content)}"
    whole = ask("GET", path)
    assert (whole.status, whole.body) == (200, content)
    for sent, first, last in (("bytes=5-14", 5, 14), ("bytes=10000-", 10000, 10239), ("bytes=-6", 10234, 10239)):
        got = ask("GET", path, headers={"Range": sent})
        assert (got.status, got.body) == (206, content[first : last + 1])
        assert got.headers["content-range"] == f"bytes {first}-{last}/10240"
    beyond = ask("GET", path, headers={"Range": "bytes=10240-"})
    assert (beyond.status, beyond.headers["content-range"]) == (416, "bytes */10240")
    head = ask("HEAD", path)
    assert (head.status, head.headers["content-length"], head.body) == (200, "10240", b"")


def test_a_read_only_server_refuses_to_change_anything(store_root: Path) -> None:
    with server.running(store_root, ServeSettings(port=0, read_only=True)) as address:
        refused = Requests(address)("POST", "/v2/x/blobs/uploads/")
        assert (refused.status, refused.code) == (405, "UNSUPPORTED")


def test_a_port_that_is_taken_is_an_error_that_says_what_to_do(ask: Requests, tmp_path: Path) -> None:
    port = int(ask.address.rpartition(":")[2])
    other = server.running(tmp_path / "other", ServeSettings(port=port))
    with pytest.raises(PolyarchError, match=f"cannot listen on 127.0.0.1:{port}"), other:
        pass


def test_other_commands_do_not_import_the_http_library() -> None:
    code = "import sys; from polyarch.cli.commands import program, serve; print('aiohttp' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_a_manifest_that_names_what_is_not_there_is_refused(ask: Requests) -> None:
    absent = {"mediaType": "application/x", "digest": digests.of(b"absent"), "size": 6}
    refused = ask.manifest("x", "1", {"schemaVersion": 2, "config": absent, "layers": []})
    assert (refused.status, refused.code) == (400, "MANIFEST_BLOB_UNKNOWN")


class _Counted(threading.Thread):
    """Carries connections to a server, and keeps what clients have sent."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        host, _, port = address.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = bytearray()
        self.start()

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                threading.Thread(target=self._carry, args=(client, server, self.sent), daemon=True).start()
                threading.Thread(target=self._carry, args=(server, client, None), daemon=True).start()

    def _carry(self, origin: socket.socket, target: socket.socket, kept: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while data := origin.recv(1 << 16):
                if kept is not None:
                    kept += data
                target.sendall(data)
        for end in (origin, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def bodies(self) -> int:
        """The bytes of the bodies that were sent, as their requests announced them."""
        assert b"chunked" not in self.sent
        return sum(int(size) for size in re.findall(rb"\r\n[Cc]ontent-[Ll]ength: (\d+)", self.sent))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def test_a_push_from_the_store_that_is_served_moves_no_byte_of_a_blob(tmp_path: Path) -> None:
    polyarch = Program(tmp_path / "store", tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY large /\n")
    (tmp_path / "large").write_bytes(os.urandom(3 << 20))
    polyarch("build", "-q", "--platform=linux/amd64,linux/arm64", "-t", "localhost/mine:1", tmp_path)
    with server.running(tmp_path / "store") as address, contextlib.closing(_Counted(address)) as counted:
        polyarch("tag", "localhost/mine:1", f"{counted.address}/team/app:2")
        polyarch("push", f"{counted.address}/team/app:2")
    with Store.open(tmp_path / "store") as store:
        index = store.load(store.resolve("localhost/team/app:2"))
        assert isinstance(index, Index)
        assert counted.bodies() == len(index.raw) + sum(one.size for one in index.manifests)


def test_pruning_removes_what_has_no_tag_and_a_push_in_progress_goes_on(ask: Requests, store_root: Path) -> None:
    tagged = ask.image("app", "1", b"tagged")
    moved = ask.image("app", "2", b"moved")
    ask.image("app", "2", b"another")
    members = [ask.image("app", layer=layer) for layer in (b"one", b"two")]
    entries = [ask.entry("app", member) for member in members]
    with Store.open(store_root) as store:
        prune(store)
    assert ask("GET", f"/v2/app/manifests/{tagged}").status == 200
    for digest in (moved, *members):
        assert ask("GET", f"/v2/app/manifests/{digest}").status == 404
    assert ask.index_of("app", "3", entries).status == 201
    for digest in members:
        assert ask("GET", f"/v2/app/manifests/{digest}").status == 200
    assert ask("GET", f"/v2/app/blobs/{digests.of(b'two')}").body == b"two"


@pytest.mark.parametrize(
    "words", [("--auth", "htpasswd", "absent"), ("--auth", "token", "absent"), ("--tls", "absent", "absent")]
)
def test_a_file_that_is_not_there_is_a_mistake_of_usage(words: tuple[str, ...], tmp_path: Path) -> None:
    polyarch = Program(tmp_path / "store", tmp_path)
    command = [polyarch.path, "serve", "--listen", "127.0.0.1:0", *words]
    done = subprocess.run(
        command, cwd=tmp_path, env=polyarch.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    expected = f"polyarch: error: {words[0]}: {tmp_path}/absent cannot be read: No such file or directory\n"
    assert (done.returncode, done.stderr) == (2, expected)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_and_nothing_is_left_of_an_upload(tmp_path: Path, number: signal.Signals) -> None:
    polyarch = Program(tmp_path / "store", tmp_path)
    command = [polyarch.path, "serve", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        command, env=polyarch.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            address = re.fullmatch(rf"Serving {tmp_path}/store at http://(127.0.0.1:[0-9]+)/\n", said)
            assert address is not None, said
            assert process.stdout.readline() == f"Push with: polyarch push {address[1]}/NAME:TAG\n"
            assert process.stdout.readline() == f"Pull with: polyarch pull {address[1]}/NAME:TAG\n"
            ask = Requests(address[1])
            location = ask("POST", "/v2/x/blobs/uploads/").headers["location"]
            assert ask("PATCH", location, b"some").status == 202
            assert list((tmp_path / "store/tmp").glob("*/*"))
        finally:
            process.send_signal(number)
        assert process.communicate(timeout=30) == ("", "polyarch: interrupted\n")
    assert process.returncode == 130
    assert list((tmp_path / "store/tmp").iterdir()) == []
    assert list((tmp_path / "store/locks/leases").iterdir()) == []


@pytest.mark.parametrize("address", ["", "x:y", ":5000", "127.0.0.1:65536", "127.0.0.1:-1"])
def test_an_address_that_is_none(tmp_path: Path, address: str) -> None:
    refused = Program(tmp_path / "store", tmp_path)("serve", "--listen", address, check=False)
    assert refused.status == 2
    assert "--listen" in refused.stderr


def test_every_request_is_logged_if_that_is_wanted(store_root: Path) -> None:
    lines: list[str] = []
    around = ServeSurroundings(now=time.time, report=server.log_error, log=lines.append)
    with server.running(store_root, ServeSettings(port=0), around) as address:
        ask = Requests(address)
        digest = ask.blob("x", b"blob")
        ask("GET", f"/v2/x/blobs/{digest}")
        ask("GET", "/v2/x%0a/tags/list?n=%1b")
    assert [re.sub("uploads/[^ ?]+", "uploads/ID", re.sub(r"[0-9]+ ms$", "ms", line)) for line in lines] == [
        "127.0.0.1 POST /v2/x/blobs/uploads/ 202 ms",
        f"127.0.0.1 PUT /v2/x/blobs/uploads/ID?digest={digest} 201 ms",
        f"127.0.0.1 GET /v2/x/blobs/{digest} 200 ms",
        "127.0.0.1 GET /v2/x%0a/tags/list?n=%1b 400 ms",
    ]
