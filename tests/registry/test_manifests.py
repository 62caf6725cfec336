"""Manifests and tags, at a real docker-registry and at one that lies."""

import io
from collections.abc import Callable

import pytest

from polyarch.errors import CorruptError, NotFoundError, RegistryError
from polyarch.oci import digest as digests
from polyarch.oci import index as indexes
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from scripts.local_registry import LocalRegistry
from tests.registry.conftest import Client, blob, image
from tests.registry.faults import Answer, Asked, serving


def test_a_manifest_is_resolved_and_read_by_tag_and_by_digest(shared_registry: LocalRegistry, client: Client) -> None:
    repository = client.at(shared_registry.address, "manifests/round")
    manifest = image(repository, b"layer", "1.0")
    assert repository.resolve("1.0") == manifest.descriptor()
    assert repository.resolve(manifest.digest) == manifest.descriptor()
    assert repository.fetch_manifest("1.0") == (manifest.descriptor(), manifest.raw)
    assert repository.read_manifest(manifest.descriptor()) == manifest.raw


def test_what_a_name_points_at_comes_with_its_bytes_in_one_request(registry: LocalRegistry, client: Client) -> None:
    repository = client.at(registry.address, "manifests/once")
    manifest = image(repository, b"layer", "1.0")
    before = len(registry.requests())
    descriptor, raw = repository.fetch_manifest("1.0")
    assert repository.read_manifest(descriptor) == raw == manifest.raw
    assert [line.split()[0] for line in registry.requests()[before:]] == ["GET"]


def test_a_manifest_without_a_name_is_there_by_digest_alone(shared_registry: LocalRegistry, client: Client) -> None:
    repository = client.at(shared_registry.address, "manifests/nameless")
    manifest = image(repository, b"layer")
    assert repository.has_manifest(manifest.descriptor())
    assert not repository.has_manifest(blob(b"another", media_types.OCI_MANIFEST))
    with pytest.raises(NotFoundError, match="MANIFEST_UNKNOWN"):
        repository.resolve("latest")


def test_a_tag_that_is_absent_is_named_with_the_words_of_the_registry(
    shared_registry: LocalRegistry, client: Client
) -> None:
    with pytest.raises(NotFoundError, match=r"manifests/absent:1\.0: manifest unknown \(MANIFEST_UNKNOWN\)"):
        client.at(shared_registry.address, "manifests/absent").resolve("1.0")


def test_an_index_comes_after_what_it_names(shared_registry: LocalRegistry, client: Client) -> None:
    repository = client.at(shared_registry.address, "manifests/index")
    absent = Descriptor(media_types.OCI_MANIFEST, digests.of(b"absent"), 6)
    index = indexes.create([absent])
    with pytest.raises(RegistryError, match="cannot be written") as caught:
        repository.write_manifest(index.descriptor(), index.raw, "1")
    assert caught.value.codes == ("MANIFEST_BLOB_UNKNOWN",)
    index = indexes.create([image(repository, b"layer").descriptor()])
    repository.write_manifest(index.descriptor(), index.raw, "1")
    assert repository.resolve("1") == index.descriptor()


def test_a_manifest_that_is_not_what_its_descriptor_says_is_not_sent(client: Client) -> None:
    with pytest.raises(CorruptError):
        client.at("127.0.0.1:1", "app").write_manifest(blob(b"{}", media_types.OCI_MANIFEST), b"[]")


def test_a_deleted_manifest_takes_its_tags_along(shared_registry: LocalRegistry, client: Client) -> None:
    repository = client.at(shared_registry.address, "manifests/deleted")
    manifest = image(repository, b"layer", "gone")
    repository.delete_manifest(manifest.digest)
    assert not repository.has_manifest(manifest.descriptor())
    with pytest.raises(NotFoundError):
        repository.resolve("gone")
    with pytest.raises(NotFoundError, match="cannot be deleted"):
        repository.delete_manifest(manifest.digest)


def test_tags_are_listed_sorted(shared_registry: LocalRegistry, client: Client) -> None:
    repository = client.at(shared_registry.address, "manifests/tags")
    with pytest.raises(NotFoundError, match="NAME_UNKNOWN"):
        repository.tags()
    for tag in ("b", "a", "c"):
        image(repository, b"layer", tag)
    assert repository.tags() == ("a", "b", "c")


def test_tags_are_listed_over_pages(client: Client) -> None:
    def answer(asked: Asked) -> Answer:
        if "last" in asked.query:
            return Answer(body=b'{"name":"app","tags":["a"]}')
        return Answer(200, {"Link": '</v2/app/tags/list?n=1&last=b>; rel="next"'}, b'{"name":"app","tags":["b"]}')

    with serving(answer) as server:
        assert client.at(server.address, "app").tags() == ("a", "b")


@pytest.mark.parametrize("body", [b'{"name":"app","tags":null}', b'{"name":"app"}'])
def test_a_repository_without_tags_has_none(client: Client, body: bytes) -> None:
    with serving(lambda asked: Answer(body=body)) as server:
        assert client.at(server.address, "app").tags() == ()


@pytest.mark.parametrize("body", [b"[]", b'{"tags":[1]}', b"<html>"])
def test_a_list_of_tags_that_is_none_is_refused(client: Client, body: bytes) -> None:
    with serving(lambda asked: Answer(body=body)) as server, pytest.raises(CorruptError):
        client.at(server.address, "app").tags()


@pytest.fixture
def lying(client: Client) -> Callable[[bytes, dict[str, str]], tuple[Descriptor, bytes]]:
    """Fetch and resolve `app:1` of a registry that answers with this body and these headers."""

    def fetch(body: bytes, headers: dict[str, str]) -> tuple[Descriptor, bytes]:
        with serving(lambda asked: Answer(200, headers, body)) as server:
            repository = client.at(server.address, "app")
            found = repository.fetch_manifest("1")
            assert repository.resolve("1") == found[0]
            return found

    return fetch


INDEX = indexes.create([])


def test_a_registry_that_gives_no_digest_is_asked_for_the_whole_manifest(
    lying: Callable[[bytes, dict[str, str]], tuple[Descriptor, bytes]],
) -> None:
    assert lying(INDEX.raw, {"Content-Type": media_types.OCI_INDEX + "; charset=utf-8"}) == (
        INDEX.descriptor(),
        INDEX.raw,
    )
    assert lying(INDEX.raw, {"Content-Type": "application/json"}) == (INDEX.descriptor(), INDEX.raw)


def test_a_registry_that_lies_about_a_digest_is_not_believed(
    lying: Callable[[bytes, dict[str, str]], tuple[Descriptor, bytes]], client: Client
) -> None:
    with pytest.raises(CorruptError):
        lying(INDEX.raw, {"Content-Type": media_types.OCI_INDEX, "Docker-Content-Digest": digests.of(b"other")})
    with serving(lambda asked: Answer(200, {"Content-Type": media_types.OCI_INDEX}, b"{}")) as server:
        repository = client.at(server.address, "app")
        with pytest.raises(CorruptError):
            repository.read_manifest(INDEX.descriptor())
        with pytest.raises(CorruptError):
            repository.fetch_manifest(INDEX.digest)


def test_a_length_of_zero_says_nothing_of_a_manifest(client: Client) -> None:
    """Proxies and frameworks say it of an answer to HEAD, which has no body."""
    headers = {"Content-Type": media_types.OCI_INDEX, "Docker-Content-Digest": INDEX.digest}

    def answer(asked: Asked) -> Answer:
        return Answer(200, {**headers, "Content-Length": "0"} if asked.method == "HEAD" else headers, INDEX.raw)

    with serving(answer) as server:
        assert client.at(server.address, "app").resolve("1") == INDEX.descriptor()


@pytest.mark.parametrize("status", [400, 403, 404, 405, 501])
def test_where_head_is_not_allowed_get_decides(client: Client, status: int) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(status) if asked.method == "HEAD" else Answer(200, {"Content-Type": INDEX.media_type}, INDEX.raw)

    with serving(answer) as server:
        assert client.at(server.address, "app").resolve("1") == INDEX.descriptor()
        assert not client.at(server.address, "app").has_manifest(INDEX.descriptor())


def test_a_manifest_that_a_gateway_compressed_is_inflated(
    lying: Callable[[bytes, dict[str, str]], tuple[Descriptor, bytes]],
) -> None:
    import gzip

    headers = {"Content-Type": media_types.OCI_INDEX, "Docker-Content-Digest": INDEX.digest}
    packed = gzip.compress(INDEX.raw)
    assert lying(packed, {**headers, "Content-Encoding": "gzip"}) == (INDEX.descriptor(), INDEX.raw)
    with pytest.raises(RegistryError, match="came with the Content-Encoding br"):
        lying(packed, {**headers, "Content-Encoding": "br"})
    with pytest.raises(CorruptError, match="larger than the 4194304"):
        lying(gzip.compress(b" " * (5 << 20)), {**headers, "Content-Encoding": "gzip"})


def test_the_name_of_a_type_may_be_dockers_where_the_document_is_ocis(
    lying: Callable[[bytes, dict[str, str]], tuple[Descriptor, bytes]],
) -> None:
    headers = {"Content-Type": media_types.DOCKER_INDEX}
    assert lying(INDEX.raw, headers) == (INDEX.descriptor(), INDEX.raw)
    with pytest.raises(CorruptError, match="its descriptor says"):
        lying(INDEX.raw, {"Content-Type": media_types.OCI_MANIFEST})


def test_a_manifest_larger_than_any_is_refused(
    lying: Callable[[bytes, dict[str, str]], tuple[Descriptor, bytes]], client: Client
) -> None:
    with pytest.raises(CorruptError, match="larger than the 4194304"):
        lying(b" " * (5 << 20), {"Content-Type": media_types.OCI_INDEX})
    with pytest.raises(CorruptError, match="at most 4194304"):
        client.at("127.0.0.1:1", "app").read_manifest(Descriptor(media_types.OCI_INDEX, digests.of(b""), 5 << 20))


def test_a_manifest_that_the_registry_changed_is_an_error(client: Client) -> None:
    changed = Answer(201, {"Docker-Content-Digest": digests.of(b"changed")})
    with serving(lambda asked: changed) as server, pytest.raises(CorruptError, match="changed"):
        client.at(server.address, "app").write_manifest(INDEX.descriptor(), INDEX.raw, "1")


def test_many_threads_share_a_repository(shared_registry: LocalRegistry, client: Client) -> None:
    from concurrent.futures import ThreadPoolExecutor

    repository = client.at(shared_registry.address, "manifests/threads")
    contents = [b"layer %d" % number * 1000 for number in range(24)]

    def work(content: bytes) -> bytes:
        repository.write_blob(blob(content), io.BytesIO(content))
        with repository.open_blob(blob(content)) as reader:
            return reader.read()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, contents)) == contents
