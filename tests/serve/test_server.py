"""The server as clients and people meet it."""

import subprocess
import sys
from pathlib import Path

import pytest

from polyarch.errors import PolyarchError
from polyarch.oci import digest as digests
from polyarch.serve import server
from polyarch.serve.settings import ServeSettings
from polyarch.store import Store
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
