"""Uploads: in one request or several, resumed, given up."""

import contextlib
import errno
import hashlib
import io
import itertools
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from polyarch.oci import digest as digests
from polyarch.oci.descriptor import Descriptor
from polyarch.serve import receiving
from polyarch.serve.errors import RequestError
from polyarch.serve.repositories import Repositories
from polyarch.serve.uploads import Uploads
from polyarch.store import Store
from tests.serve.requests import Answer, Requests

CONTENT = bytes(range(256)) * 2000


def test_an_upload_in_chunks(ask: Requests) -> None:
    location = ask("POST", "/v2/x/blobs/uploads/").headers["location"]
    sizes = (0, 100_000, 300_000, len(CONTENT))
    for first, end in itertools.pairwise(sizes):
        sent = ask("PATCH", location, CONTENT[first:end], {"Content-Range": f"{first}-{end - 1}"})
        assert (sent.status, sent.headers["range"]) == (202, f"0-{end - 1}")
    wrong = ask("PATCH", location, b"xx", {"Content-Range": "5-6"})
    assert (wrong.status, wrong.headers["range"]) == (416, f"0-{len(CONTENT) - 1}")
    digest = digests.of(CONTENT)
    done = ask("PUT", f"{location}?digest={digest}")
    assert (done.status, done.headers["docker-content-digest"]) == (201, digest)
    assert ask("GET", done.headers["location"]).body == CONTENT
    assert ask("GET", location).code == "BLOB_UPLOAD_UNKNOWN"


def test_an_upload_in_one_request(ask: Requests) -> None:
    digest = digests.of(CONTENT)
    done = ask("POST", f"/v2/x/blobs/uploads/?digest={digest}", CONTENT)
    assert (done.status, done.headers["location"]) == (201, f"/v2/x/blobs/{digest}")
    assert ask("GET", done.headers["location"]).body == CONTENT


def test_a_body_without_a_length(ask: Requests) -> None:
    location = ask("POST", "/v2/x/blobs/uploads/").headers["location"]
    sent = ask("PATCH", location, iter([CONTENT[:1000], CONTENT[1000:]]))
    assert sent.headers["range"] == f"0-{len(CONTENT) - 1}"
    status = ask("GET", location)
    assert (status.status, status.headers["range"]) == (204, f"0-{len(CONTENT) - 1}")


@pytest.mark.parametrize("announced", [True, False])
def test_sha512(ask: Requests, announced: bool) -> None:
    digest = f"sha512:{hashlib.sha512(CONTENT).hexdigest()}"
    query = "?digest-algorithm=sha512" if announced else ""
    location = ask("POST", f"/v2/x/blobs/uploads/{query}").headers["location"]
    assert ask("PATCH", location, CONTENT[:1000]).status == 202
    assert ask("PUT", f"{location}?digest={digest}", CONTENT[1000:]).status == 201
    assert ask("GET", f"/v2/x/blobs/{digest}").body == CONTENT


def test_bytes_with_another_digest_are_refused_and_gone(ask: Requests) -> None:
    location = ask("POST", "/v2/x/blobs/uploads/").headers["location"]
    expected = digests.of(b"other")
    refused = ask("PUT", f"{location}?digest={expected}", CONTENT)
    assert (refused.status, refused.code) == (400, "DIGEST_INVALID")
    assert ask("HEAD", f"/v2/x/blobs/{expected}").status == 404
    assert ask("GET", location).status == 404


def test_an_upload_can_be_given_up(ask: Requests) -> None:
    location = ask("POST", "/v2/x/blobs/uploads/").headers["location"]
    assert ask("DELETE", location).status == 204
    assert ask("GET", location).status == 404


@pytest.mark.parametrize("digest", ["", "sha256:0", "md5:" + "0" * 32, "sha1:" + "0" * 40])
def test_a_digest_that_is_none_is_refused(ask: Requests, digest: str) -> None:
    location = ask("POST", "/v2/x/blobs/uploads/").headers["location"]
    refused = ask("PUT", f"{location}?digest={digest}", b"x")
    assert (refused.status, refused.code) == (400, "DIGEST_INVALID")


def test_an_upload_belongs_to_its_repository(ask: Requests) -> None:
    location = ask("POST", "/v2/x/blobs/uploads/").headers["location"]
    assert ask("PATCH", location.replace("/x/", "/y/"), b"x").status == 404


def test_an_upload_and_what_became_a_blob_are_safe_from_a_collection(ask: Requests, store_root: Path) -> None:
    digest = ask.blob("x", b"blob")
    location = ask("POST", "/v2/x/blobs/uploads/").headers["location"]
    assert ask("PATCH", location, CONTENT[:1000]).status == 202
    with Store.open(store_root) as store:
        assert store.maintenance.gc().removed == ()
    assert ask("HEAD", f"/v2/x/blobs/{digest}").status == 200
    assert ask("PUT", f"{location}?digest={digests.of(CONTENT)}", CONTENT[1000:]).status == 201


def test_an_upload_to_which_nothing_is_sent_is_removed(store_root: Path) -> None:
    now = [0.0]
    with Store.open(store_root) as store:
        uploads = Uploads(store, 60, lambda: now[0])
        left, used = uploads.start("x"), uploads.start("x")
        now[0] = 50.0
        sender = object()
        used.begin(sender, 0)
        used.append(sender, [b"ab", b"c"])
        now[0] = 61.0
        assert uploads.clear() == 1
        with pytest.raises(RequestError):
            uploads.find("x", left.id)
        assert uploads.find("x", used.id).headers["Range"] == "0-2"
        assert len(list((store_root / "tmp").glob("*/*"))) == 1
        uploads.close()
        assert list((store_root / "tmp").glob("*/*")) == []


def test_a_request_takes_an_upload_over_from_one_whose_connection_hangs(store_root: Path) -> None:
    with Store.open(store_root) as store:
        upload = Uploads(store, 60).start("x")
        first, second = object(), object()
        upload.begin(first, None)
        upload.append(first, [b"abc"])
        upload.begin(second, 3)
        with pytest.raises(RequestError, match="another request"):
            upload.append(first, [b"late"])
        upload.append(second, [b"def"])
        assert upload.commit(digests.of(b"abcdef")) == 6


def test_what_nothing_names_is_removed_after_two_turns(store_root: Path) -> None:
    with Store.open(store_root) as store:
        repositories = Repositories(store)

        def uploaded(content: bytes) -> Descriptor:
            descriptor = Descriptor(media_type="", digest=digests.of(content), size=len(content))
            store.write_blob(descriptor, io.BytesIO(content))
            repositories.arrived("x", descriptor.digest)
            return descriptor

        left, named = uploaded(b"left"), uploaded(b"{}")
        repositories.leftovers.turn()
        raw = b'{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"%s","size":2}}' % named.digest.encode()
        repositories.put_manifest("x", "1", raw, "")
        repositories.leftovers.turn()
        assert store.blob_size(left.digest) is None
        assert store.blob_size(named.digest) == 2
        repositories.delete_tag("x", "1")
        assert repositories.resolve("x", digests.of(raw))
        repositories.delete_manifest("x", digests.of(raw))
        repositories.leftovers.turn()
        assert store.blob_size(named.digest) == 2
        repositories.leftovers.turn()
        assert store.blob_size(named.digest) is None


# Larger than what aiohttp reads itself (`serve/direct.py`).
LARGE = CONTENT * 5


def _arrived(status: Answer) -> int:
    """The bytes that an upload has."""
    last = int(status.headers["range"].removeprefix("0-"))
    return last + 1 if last else 0


@pytest.mark.parametrize("method", ["PATCH", "PUT", "POST"])
def test_a_large_body(ask: Requests, method: str) -> None:
    digest = digests.of(LARGE)
    path = f"/v2/x/blobs/uploads/?digest={digest}"
    if method != "POST":
        path = ask("POST", "/v2/x/blobs/uploads/").headers["location"]
        path += f"?digest={digest}" if method == "PUT" else ""
    done = ask(method, path, LARGE)
    assert done.status == (202 if method == "PATCH" else 201)
    assert done.headers["connection"] == "close"
    if method == "PATCH":
        assert ask("PUT", f"{path}?digest={digest}").status == 201
    assert ask("GET", f"/v2/x/blobs/{digest}").body == LARGE


def test_what_arrived_before_the_connection_was_cut_is_kept(ask: Requests) -> None:
    location = ask("POST", "/v2/x/blobs/uploads/").headers["location"]
    host, _, port = ask.address.rpartition(":")
    head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(LARGE)}\r\n\r\n".encode()
    sent = len(LARGE) // 2
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head + LARGE[:sent])
    # The server may still be reading what arrived; from this answer on it does not.
    arrived = _arrived(ask("GET", location))
    rest = ask("PATCH", location, LARGE[arrived:], {"Content-Range": f"{arrived}-{len(LARGE) - 1}"})
    assert (rest.status, rest.headers["range"]) == (202, f"0-{len(LARGE) - 1}")
    assert ask("PUT", f"{location}?digest={digests.of(LARGE)}").status == 201


def test_an_upload_is_resumed_while_the_connection_before_still_stands(ask: Requests) -> None:
    location = ask("POST", "/v2/x/blobs/uploads/").headers["location"]
    host, _, port = ask.address.rpartition(":")
    head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(LARGE)}\r\n\r\n".encode()
    with socket.create_connection((host, int(port))) as hanging:
        hanging.sendall(head + LARGE[:-1])
        arrived = _arrived(ask("GET", location))
        rest = ask("PATCH", location, LARGE[arrived:], {"Content-Range": f"{arrived}-{len(LARGE) - 1}"})
        assert rest.status == 202
        # What the first request sends now is not taken.
        with contextlib.suppress(ConnectionError):
            hanging.sendall(LARGE[-1:])
            assert hanging.recv(100).startswith(b"HTTP/1.1 409 ")
        assert ask("PUT", f"{location}?digest={digests.of(LARGE)}").status == 201


def test_a_large_body_that_is_refused_ends_with_the_answer(ask: Requests) -> None:
    location = ask("POST", "/v2/x/blobs/uploads/").headers["location"]
    wrong = ask("PUT", f"{location}?digest={digests.of(b'other')}", LARGE)
    assert (wrong.status, wrong.code) == (400, "DIGEST_INVALID")


def test_many_large_bodies_at_once(ask: Requests) -> None:
    contents = [bytes([number]) + LARGE for number in range(24)]
    with ThreadPoolExecutor(24) as pool:
        stored = list(pool.map(lambda content: ask.blob("x", content), contents))
    assert stored == [digests.of(content) for content in contents]


def test_uploads_that_nothing_was_sent_to_make_room_and_others_do_not(store_root: Path) -> None:
    with Store.open(store_root) as store:
        uploads = Uploads(store, 60, most=2)
        empty, used = uploads.start("x"), uploads.start("x")
        sender = object()
        used.begin(sender, 0)
        used.append(sender, [b"a"])
        other = uploads.start("x")
        with pytest.raises(RequestError):
            uploads.find("x", empty.id)
        other.begin(sender, 0)
        other.append(sender, [b"a"])
        with pytest.raises(RequestError) as refused:
            uploads.start("x")
        assert (refused.value.status, refused.value.code) == (429, "TOOMANYREQUESTS")
        uploads.finish(used, digests.of(b"a"))
        assert uploads.start("x").size == 0
        uploads.close()


def test_a_client_that_still_sends_is_told_that_the_disk_is_full(
    ask: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    location = ask("POST", "/v2/x/blobs/uploads/").headers["location"]
    monkeypatch.setattr("polyarch.store.disk.write_all", fail)
    host, _, port = ask.address.rpartition(":")
    head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: {64 << 20}\r\n\r\n".encode()
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head)
        for _ in range(48):
            connection.sendall(bytes(1 << 20))
        assert connection.recv(100).startswith(b"HTTP/1.1 507 ")
    monkeypatch.undo()
    assert ask("PUT", f"{location}?digest={digests.of(b'x')}", b"x").status == 201


def test_many_uploads_at_once_share_the_memory_of_a_few() -> None:
    sizes = {number: receiving.part_size(number) for number in (1, 64, 100, 400, 4096)}
    assert sizes[1] == sizes[64] == 512 << 10
    # Two parts of each.
    assert 2 * 100 * sizes[100] <= 64 << 20
    assert 2 * 400 * sizes[400] <= 64 << 20
    assert sizes[4096] == 64 << 10, "a thread is not woken for less"
