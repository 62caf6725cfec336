"""Blobs: read, written, mounted, resumed. The registry is Debian's docker-registry, the faults are scripted."""

import io
import os
from collections.abc import Callable

import pytest

from polyarch.errors import CorruptError, NotFoundError, RegistryError
from polyarch.oci import digest as digests
from polyarch.oci import reference as references
from polyarch.oci.place import Mounting, Ranged
from polyarch.oci.verify import VerifyingReader
from scripts.local_registry import LocalRegistry
from tests.registry.conftest import Client, blob
from tests.registry.faults import Answer, Asked, serving

CONTENT = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(3 << 20)


def test_a_blob_that_was_written_is_read_back(shared_registry: LocalRegistry, client: Client, content: bytes) -> None:
    repository = client.at(shared_registry.address, "blobs/round")
    assert not repository.has_blob(blob(content))
    repository.write_blob(blob(content), io.BytesIO(content))
    assert repository.has_blob(blob(content))
    with repository.open_blob(blob(content)) as reader:
        assert reader.read() == content


def test_an_empty_blob_is_a_blob(shared_registry: LocalRegistry, client: Client) -> None:
    repository = client.at(shared_registry.address, "blobs/empty")
    repository.write_blob(blob(b""), io.BytesIO(b""))
    with repository.open_blob(blob(b"")) as reader:
        assert reader.read() == b""


def test_the_middle_of_a_blob_is_read_alone(shared_registry: LocalRegistry, client: Client, content: bytes) -> None:
    repository = client.at(shared_registry.address, "blobs/range")
    repository.write_blob(blob(content), io.BytesIO(content))
    assert repository.read_range(blob(content), 70_000, 5_000) == content[70_000:75_000]
    assert repository.read_range(blob(content), len(content) - 10, 100) == content[-10:]
    assert repository.read_range(blob(content), len(content), 100) == b""


def test_a_repository_is_a_place_that_mounts_and_reads_ranges(client: Client) -> None:
    repository = client.at("127.0.0.1:1", "any")
    assert isinstance(repository, Mounting)
    assert isinstance(repository, Ranged)


def test_a_blob_that_is_absent_is_named_with_the_words_of_the_registry(
    shared_registry: LocalRegistry, client: Client
) -> None:
    repository = client.at(shared_registry.address, "blobs/absent")
    with pytest.raises(NotFoundError, match=r"blobs/absent@sha256:.*BLOB_UNKNOWN"):
        repository.open_blob(blob(b"nothing"))


def test_a_blob_whose_content_is_another_is_refused_and_not_there(
    shared_registry: LocalRegistry, client: Client, content: bytes
) -> None:
    repository = client.at(shared_registry.address, "blobs/wrong")
    with pytest.raises(CorruptError):
        repository.write_blob(blob(content), io.BytesIO(content[:-1] + b"\0"))
    with pytest.raises(CorruptError):
        repository.write_blob(blob(content), io.BytesIO(content[:-1]))
    assert not repository.has_blob(blob(content))


def test_content_of_unknown_digest_is_sent_while_it_is_made(
    shared_registry: LocalRegistry, client: Client, content: bytes
) -> None:
    repository = client.at(shared_registry.address, "blobs/upload")
    with repository.upload() as upload:
        for start in range(0, len(content), 100_000):
            upload.write(content[start : start + 100_000])
        assert upload.commit(digests.of(content)) == len(content)
    with repository.open_blob(blob(content)) as reader:
        assert reader.read() == content


def test_an_upload_of_nothing_is_the_empty_blob(shared_registry: LocalRegistry, client: Client) -> None:
    repository = client.at(shared_registry.address, "blobs/upload-empty")
    with repository.upload() as upload:
        assert upload.commit(digests.of(b"")) == 0
    assert repository.has_blob(blob(b""))


def test_an_upload_that_is_left_is_cancelled(shared_registry: LocalRegistry, client: Client) -> None:
    repository = client.at(shared_registry.address, "blobs/left")

    class LeftError(Exception):
        pass

    def leave() -> None:
        with repository.upload() as upload:
            upload.write(b"half")
            raise LeftError

    with pytest.raises(LeftError):
        leave()
    assert client.lines[-1].startswith("DELETE ")
    assert client.lines[-1].endswith(" 204")


def test_an_upload_commits_nothing_but_what_was_written(shared_registry: LocalRegistry, client: Client) -> None:
    repository = client.at(shared_registry.address, "blobs/lie")
    with repository.upload() as upload:
        upload.write(b"this")
        with pytest.raises(CorruptError):
            upload.commit(digests.of(b"that"))
    assert not repository.has_blob(blob(b"that"))


def test_a_blob_is_mounted_from_a_neighbour(shared_registry: LocalRegistry, client: Client, content: bytes) -> None:
    client.at(shared_registry.address, "blobs/neighbour").write_blob(blob(content), io.BytesIO(content))
    repository = client.at(shared_registry.address, "blobs/mounted")
    origin = references.parse(f"{shared_registry.address}/blobs/neighbour:tag")
    assert repository.mount_blob(blob(content), origin)
    # It is known to be there now: nobody is asked again.
    before = len(client.lines)
    assert repository.has_blob(blob(content))
    assert len(client.lines) == before


def test_a_mount_that_fails_leaves_an_upload_that_the_write_goes_on_with(
    shared_registry: LocalRegistry, client: Client
) -> None:
    repository = client.at(shared_registry.address, "blobs/unmounted")
    origin = references.parse(f"{shared_registry.address}/blobs/nobody")
    assert not repository.mount_blob(blob(b"mine"), origin)
    repository.write_blob(blob(b"mine"), io.BytesIO(b"mine"))
    assert sum(line.startswith("POST ") for line in client.lines) == 1
    assert not repository.mount_blob(blob(b"other"), references.parse("localhost:1/other-registry"))


def test_an_upload_begun_in_place_of_a_mount_and_not_used_is_cancelled_at_the_end(
    shared_registry: LocalRegistry, client: Client
) -> None:
    repository = client.at(shared_registry.address, "blobs/unused")
    assert not repository.mount_blob(blob(b"x"), references.parse(f"{shared_registry.address}/blobs/nobody"))
    client.close()
    assert client.lines[-1].startswith("DELETE ")
    assert client.lines[-1].endswith(" 204")


def ranged(content: bytes, cuts: list[int | None]) -> Callable[[Asked], Answer]:
    """A server of one blob that knows ranges and cuts its first answers after so many bytes."""

    def answer(asked: Asked) -> Answer:
        if not asked.path.startswith("/v2/app/blobs/"):
            return Answer()
        start = int((asked.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        cut = cuts.pop(0) if cuts else None
        headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        return Answer(206 if start else 200, headers, content[start:], cut)

    return answer


def test_a_download_that_is_cut_goes_on_where_it_stopped(client: Client) -> None:
    with serving(ranged(CONTENT, [400_000, 0, 300_000])) as server:
        with client.at(server.address, "app").open_blob(blob(CONTENT)) as reader:
            assert b"".join(iter(lambda: reader.read(100_000), b"")) == CONTENT
        asked = [asked.headers.get("Range") for asked in server.asked if "blobs" in asked.path]
    assert asked == [None, "bytes=400000-", "bytes=400000-", "bytes=700000-"]


def test_a_download_that_is_cut_goes_on_where_ranges_are_unknown(client: Client) -> None:
    cuts: list[int | None] = [400_000]

    def answer(asked: Asked) -> Answer:
        return Answer(body=CONTENT, cut=cuts.pop(0) if cuts and "blobs" in asked.path else None)

    with serving(answer) as server, client.at(server.address, "app").open_blob(blob(CONTENT)) as reader:
        assert reader.read() == CONTENT


def test_a_download_that_is_cut_again_and_again_ends_with_an_error_and_never_short(client: Client) -> None:
    with (
        serving(ranged(CONTENT, [400_000, *([0] * 20)])) as server,
        client.at(server.address, "app").open_blob(blob(CONTENT)) as reader,
        pytest.raises(RegistryError) as caught,
    ):
        reader.read()
    assert caught.value.retryable


def test_a_blob_of_another_size_than_claimed_is_refused_before_it_is_read(client: Client) -> None:
    with serving(lambda asked: Answer(body=CONTENT[:-1])) as server, pytest.raises(CorruptError, match="not the"):
        client.at(server.address, "app").open_blob(blob(CONTENT))


def test_a_blob_with_other_bytes_than_its_digest_is_refused(client: Client) -> None:
    wrong = CONTENT[:-1] + b"!"
    with (
        serving(lambda asked: Answer(body=wrong)) as server,
        client.at(server.address, "app").open_blob(blob(CONTENT)) as reader,
        pytest.raises(CorruptError, match="corrupt"),
    ):
        reader.read()


def uploads(trouble: list[Answer]) -> Callable[[Asked], Answer]:
    """A registry that takes one blob, after it has answered the first PUTs with `trouble`."""

    def answer(asked: Asked) -> Answer:
        if asked.method == "POST":
            return Answer(202, {"Location": "/v2/app/blobs/uploads/session?_state=secret"})
        if asked.method == "PUT":
            return trouble.pop(0) if trouble else Answer(201)
        return Answer()

    return answer


def test_an_upload_that_fails_begins_again_with_content_that_can_seek(client: Client) -> None:
    with serving(uploads([Answer(500), Answer(503)])) as server:
        content = io.BytesIO(b"before" + CONTENT)
        content.seek(6)
        client.at(server.address, "app").write_blob(blob(CONTENT), content)
        assert [len(asked.body) for asked in server.asked if asked.method == "PUT"] == [len(CONTENT)] * 3
        # Each attempt has its own session: a failed one may have kept part of the bytes.
        assert sum(asked.method == "POST" for asked in server.asked) == 3


def test_an_upload_that_fails_asks_for_content_that_cannot_seek_to_be_opened_anew(client: Client) -> None:
    once = VerifyingReader(io.BytesIO(CONTENT), blob(CONTENT))
    with serving(uploads([Answer(500)])) as server, pytest.raises(RegistryError) as caught:
        client.at(server.address, "app").write_blob(blob(CONTENT), once)
    assert caught.value.retryable
    assert caught.value.status == 500


def test_the_fragment_of_a_location_is_not_sent(client: Client) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.method == "HEAD":
            return Answer(404)
        return Answer(202, {"Location": "/v2/app/upload?id=1#here"}) if asked.method == "POST" else Answer(201)

    with serving(answer) as server:
        client.at(server.address, "app").write_blob(blob(b"layer"), io.BytesIO(b"layer"))
        put = next(asked for asked in server.asked if asked.method == "PUT")
    assert put.query == {"id": ["1"], "digest": [blob(b"layer").digest]}


def test_an_upload_that_is_refused_is_not_tried_again(client: Client) -> None:
    refusal = Answer(413, body=b'{"errors":[{"code":"SIZE_INVALID","message":"too large"}]}')
    with serving(uploads([refusal] * 5)) as server, pytest.raises(RegistryError, match="too large") as caught:
        client.at(server.address, "app").write_blob(blob(CONTENT), io.BytesIO(CONTENT))
    assert caught.value.codes == ("SIZE_INVALID",)
    assert sum(asked.method == "PUT" for asked in server.asked) == 1


def test_an_upload_whose_sending_fails_says_so_to_the_writer(client: Client) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.method == "POST":
            return Answer(202, {"Location": "/v2/app/blobs/uploads/session"})
        return Answer(507 if asked.method == "PATCH" else 200, body=b'{"message":"no space left"}')

    with serving(answer) as server, client.at(server.address, "app").upload() as upload:
        upload.write(CONTENT)
        with pytest.raises(RegistryError, match="no space left"):
            upload.commit(digests.of(CONTENT))
        with pytest.raises(RegistryError, match="no space left"):
            upload.write(CONTENT)


def test_a_stored_blob_of_another_digest_is_an_error(client: Client) -> None:
    lie = Answer(201, {"Docker-Content-Digest": digests.of(b"other")})
    with serving(uploads([lie])) as server, pytest.raises(CorruptError, match="stored"):
        client.at(server.address, "app").write_blob(blob(CONTENT), io.BytesIO(CONTENT))


@pytest.mark.parametrize("status", [400, 403, 405, 501])
def test_a_registry_that_does_not_answer_whether_a_blob_is_there_gets_it(client: Client, status: int) -> None:
    """Artifactory answers 403 to some accounts that may push."""

    def answer(asked: Asked) -> Answer:
        forbidden = (asked.method in ("HEAD", "GET") and "blobs" in asked.path) or asked.method == "HEAD"
        return Answer(status) if forbidden else uploads([])(asked)

    with serving(answer) as server:
        repository = client.at(server.address, "app")
        assert not repository.has_blob(blob(CONTENT))
        assert repository.points_at("1") is None
        repository.write_blob(blob(CONTENT), io.BytesIO(CONTENT))
        assert [asked.body for asked in server.asked if asked.method == "PUT"] == [CONTENT]


def test_a_registry_without_head_is_asked_for_a_byte_of_the_blob(client: Client) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(405) if asked.method == "HEAD" else ranged(CONTENT, [])(asked)

    with serving(answer) as server:
        assert client.at(server.address, "app").has_blob(blob(CONTENT))
        assert not client.at(server.address, "app").has_blob(blob(CONTENT + b"x"))
