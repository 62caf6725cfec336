"""Reading through to registries: blobs fetched on demand, copies between registries, conversion of formats."""

import threading
from pathlib import Path
from typing import cast

import pytest

from polyarch.errors import CorruptError, NotFoundError, RegistryError, UnsupportedError
from polyarch.oci import digest as digests
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types
from polyarch.oci import reference as references
from polyarch.oci.descriptor import REFERENCE_DIGEST, Descriptor
from polyarch.oci.document import Index
from polyarch.oci.place import BlobReader
from polyarch.oci.reference import Reference
from polyarch.registry import Credentials, Hosts, Registry
from polyarch.store.store import Store
from polyarch.transfer import copy as copier
from polyarch.transfer import graph as graphs
from polyarch.transfer import origins
from polyarch.transfer.copy import CopyOptions
from polyarch.transfer.formats import Converted
from polyarch.transfer.layout import OciLayout
from polyarch.transfer.read_through import ReadThroughSource
from scripts.local_registry import LocalRegistry
from tests.oci import schemas
from tests.oci.examples import AMD64, ARM64, attestation, image, index, multi_platform
from tests.registry.faults import Answer, serving

pytestmark = pytest.mark.integration


def uploads(registry: LocalRegistry) -> list[str]:
    return [line for line in registry.requests() if line.startswith(("PUT", "PATCH")) and "/blobs/uploads/" in line]


def test_a_push_and_a_pull_keep_every_byte(
    registry: LocalRegistry, client: Registry, source: OciLayout, store: Store
) -> None:
    root = multi_platform(source, "app")
    repository = client.repository(references.parse(f"{registry.address}/app"))
    copier.copy(source, "app", repository, ["1.0", "latest"])
    assert repository.tags() == ("1.0", "latest")
    assert copier.copy(repository, "1.0", store, [f"{registry.address}/app:1.0"]).digest == root.digest
    assert store.missing(root) == ()


def test_from_one_repository_to_its_neighbour_no_blob_moves(
    registry: LocalRegistry, client: Registry, source: OciLayout
) -> None:
    multi_platform(source, "app")
    one, two = (client.repository(references.parse(f"{registry.address}/{name}")) for name in ("one", "two"))
    copier.copy(source, "app", one, ["x"])
    before = len(uploads(registry))
    sent = copier.send(one, "x", two, ["x"])
    assert (sent.moved, sent.mounted > 0) == (0, True)
    assert len(uploads(registry)) == before


def test_a_push_of_what_is_there_asks_for_its_name_and_its_images_only(
    registry: LocalRegistry, source: OciLayout, store: Store
) -> None:
    root = multi_platform(source, "app")
    name = references.parse(f"{registry.address}/app")

    def push() -> tuple[copier.Sent, list[str]]:
        # A separate command: it remembers only what the store remembers.
        with Registry(Hosts(), Credentials(None), "polyarch-test") as client:
            before = len(registry.requests())
            sent = copier.send(ReadThroughSource(store, client), root.digest, client.repository(name), ["1.0"])
            origins.record_image(store, sent.descriptor, name)
            return sent, registry.requests()[before:]

    copier.copy(source, "app", store, [])
    first, _ = push()
    second, asked = push()
    assert (first.moved > 0, second.moved, second.existing) == (True, 0, first.moved)
    assert not [line for line in asked if line.startswith(("PUT", "POST", "PATCH"))]
    assert not [line for line in asked if "/blobs/" in line]


def test_a_small_new_blob_is_sent_to_this_machine_unasked_and_once(
    registry: LocalRegistry, client: Registry, source: OciLayout, store: Store
) -> None:
    made = image(source, files={"a": "made"}, name="made")
    copier.copy(source, "made", store, [])
    building, name = ReadThroughSource(store, client), references.parse(f"{registry.address}/app")
    before = len(registry.requests())
    for tag in ("1", "2"):
        copier.send(building, made.digest, client.repository(name), [tag])
    asked = [line for line in registry.requests()[before:] if "/blobs/" in line]
    assert [line.split()[0] for line in asked if line.startswith("HEAD")] == []
    blobs = graphs.read(store, made).blobs
    assert len([line for line in asked if line.startswith("PUT")]) == len(blobs)
    # One that a registry has had is asked for: it may be in this repository, too.
    origins.record(store, [blob.digest for blob in blobs], name)
    with Registry(Hosts(), Credentials(None), "polyarch-test") as later:
        copier.send(ReadThroughSource(store, later), made.digest, later.repository(name), ["3"])
    again = [line for line in registry.requests()[before:] if "/blobs/" in line][len(asked) :]
    assert len([line for line in again if line.startswith("HEAD")]) == len(blobs)


def test_the_repository_of_a_base_is_not_asked_what_is_about_another_image(
    registry: LocalRegistry, client: Registry, source: OciLayout, store: Store
) -> None:
    base, made = multi_platform(source, "base"), image(source, files={"a": "made"}, name="made")
    here, there = (references.parse(f"{registry.address}/{name}") for name in ("base", "app"))
    copier.copy(source, "base", client.repository(here), ["1"])
    copier.copy(source, "made", store, [])
    # As a build does: it resolves its base and pushes what it made.
    building = ReadThroughSource(store, client)
    assert building.resolve(f"{here}:1").digest == base.digest
    before = len(registry.requests())
    copier.send(building, made.digest, client.repository(there), ["1"])
    assert [line for line in registry.requests()[before:] if "/base/" in line] == []


def test_a_name_that_was_moved_meanwhile_is_pushed_again(
    registry: LocalRegistry, source: OciLayout, store: Store
) -> None:
    root = multi_platform(source, "app")
    name = references.parse(f"{registry.address}/app")
    copier.copy(source, "app", store, [])
    with Registry(Hosts(), Credentials(None), "polyarch-test") as client:
        repository = client.repository(name)
        copier.send(ReadThroughSource(store, client), root.digest, repository, ["1.0"])
        origins.record_image(store, root, name)
        index = graphs.read_node(store, root).document
        assert isinstance(index, Index)
        copier.send(ReadThroughSource(store, client), index.manifests[0].digest, repository, ["1.0"])
        copier.send(ReadThroughSource(store, client), root.digest, repository, ["1.0"])
        assert repository.resolve("1.0").digest == root.digest


def test_between_two_registries_blobs_are_streamed(
    registry: LocalRegistry, second_registry: LocalRegistry, client: Registry, source: OciLayout
) -> None:
    root = multi_platform(source, "app")
    here, there = (
        client.repository(references.parse(f"{server.address}/app")) for server in (registry, second_registry)
    )
    copier.copy(source, "app", here, ["x"])
    sent = copier.send(here, "x", there, ["x"])
    assert sent.descriptor.digest == root.digest
    assert sent.moved == sum(blob.size for blob in graphs.read(there, root).blobs)


def test_a_registry_that_refuses_a_sparse_index_gets_one_of_what_was_sent(
    registry: LocalRegistry, client: Registry, source: OciLayout
) -> None:
    root = multi_platform(source, "app", [AMD64, ARM64])
    repository = client.repository(references.parse(f"{registry.address}/app"))
    sent = copier.send(source, "app", repository, ["x"], CopyOptions(platforms=(ARM64,)))
    assert sent.form == "subset"
    again = copier.send(source, "app", repository, ["x"], CopyOptions(platforms=(AMD64,)))
    # Now the registry has both images, so it takes the index as it is.
    assert (again.form, again.descriptor.digest) == ("sparse", root.digest)


class TestLazily:
    """The store, and behind it the registry."""

    @pytest.fixture
    def root(self, registry: LocalRegistry, client: Registry, source: OciLayout) -> Descriptor:
        """An image at the registry under base:1."""
        descriptor = multi_platform(source, "base")
        copier.copy(source, "base", client.repository(references.parse(f"{registry.address}/base")), ["1"])
        return descriptor

    def test_reading_manifests_moves_no_layer(
        self, root: Descriptor, registry: LocalRegistry, client: Registry, store: Store
    ) -> None:
        lazily = ReadThroughSource(store, client)
        descriptor = lazily.resolve(f"{registry.address}/base:1")
        graph = graphs.read(lazily, descriptor)
        assert graphs.missing(graph, lazily) == ()
        assert not any(store.has_blob(blob) for blob in graph.blobs)
        assert not any(line.startswith("GET") and "/blobs/" in line for line in registry.requests())

    def test_a_blob_is_fetched_once_though_many_ask(
        self, root: Descriptor, registry: LocalRegistry, client: Registry, store: Store
    ) -> None:
        lazily = ReadThroughSource(store, client)
        blob = graphs.read(lazily, lazily.resolve(f"{registry.address}/base:1")).blobs[-1]

        def read() -> None:
            with lazily.open_blob(blob) as reader:
                reader.read()

        threads = [threading.Thread(target=read) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.has_blob(blob)
        assert sum(line.startswith("GET") and blob.digest in line for line in registry.requests()) == 1

    def test_a_push_beside_its_origin_mounts_what_was_never_fetched(
        self, root: Descriptor, registry: LocalRegistry, client: Registry, store: Store
    ) -> None:
        lazily = ReadThroughSource(store, client)
        target = client.repository(references.parse(f"{registry.address}/other"))
        before = len(uploads(registry))
        sent = copier.send(lazily, f"{registry.address}/base:1", target, ["x"])
        assert (sent.moved, sent.existing) == (0, 0)
        assert len(uploads(registry)) == before
        assert not any(store.has_blob(blob) for blob in graphs.read(lazily, root).blobs)

    def test_a_push_elsewhere_fetches_and_sends(
        self, root: Descriptor, registry: LocalRegistry, second_registry: LocalRegistry, client: Registry, store: Store
    ) -> None:
        lazily = ReadThroughSource(store, client)
        target = client.repository(references.parse(f"{second_registry.address}/other"))
        copier.copy(lazily, f"{registry.address}/base:1", target, ["x"])
        assert graphs.read(target, root).absent == ()

    def test_a_range_of_a_blob_is_read_without_the_whole(
        self, root: Descriptor, registry: LocalRegistry, client: Registry, store: Store, source: OciLayout
    ) -> None:
        lazily = ReadThroughSource(store, client)
        blob = graphs.read(lazily, lazily.resolve(f"{registry.address}/base:1")).blobs[-1]
        assert lazily.read_range(blob, 3, 7) == source.read_range(blob, 3, 7)
        assert not store.has_blob(blob)
        lazily.fetch(blob)
        assert lazily.read_range(blob, 3, 7) == source.read_range(blob, 3, 7)

    def test_a_platform_that_was_never_pulled_is_named_where_manifests_are_not_fetched(
        self, root: Descriptor, registry: LocalRegistry, client: Registry, store: Store
    ) -> None:
        name = f"{registry.address}/base:1"
        repository = client.repository(references.parse(name))
        copier.copy(repository, "1", store, [name], CopyOptions(platforms=(ARM64,)))
        origins.record_image(store, root, references.parse(name))
        lazily = ReadThroughSource(store, client, fetch_manifests=False)
        with pytest.raises(NotFoundError, match="linux/amd64"):
            copier.copy(lazily, name, client.repository(references.parse(f"{registry.address}/copy")), ["x"])

    def test_a_blob_that_was_seen_nowhere_is_lacking(self, client: Registry, store: Store) -> None:
        lazily = ReadThroughSource(store, client)
        unknown = Descriptor(media_type="a/b", digest=digests.of(b"?"), size=1)
        assert lazily.lacks(unknown)
        with pytest.raises(NotFoundError, match="not in the store"):
            lazily.open_blob(unknown)

    def test_a_blob_that_its_registry_spoilt_does_not_enter_the_store(
        self, root: Descriptor, registry: LocalRegistry, client: Registry, store: Store
    ) -> None:
        lazily = ReadThroughSource(store, client)
        blob = graphs.read(lazily, lazily.resolve(f"{registry.address}/base:1")).blobs[-1]
        path = registry.blob_path(blob.digest)
        raw = bytearray(path.read_bytes())
        raw[-1] ^= 1
        path.write_bytes(raw)
        with pytest.raises(CorruptError):
            lazily.open_blob(blob)
        assert not store.has_blob(blob)

    @pytest.mark.parametrize(("retryable", "times"), [(True, 3), (False, 1)])
    def test_a_registry_that_cannot_give_a_blob_is_asked_again_where_that_may_help(
        self, store: Store, retryable: bool, times: int
    ) -> None:
        asked: list[str] = []

        class Failing:
            def repository(self, reference: Reference) -> "Failing":
                self.name = str(reference)
                return self

            def open_blob(self, descriptor: Descriptor) -> BlobReader:
                asked.append(self.name)
                raise RegistryError("it was cut off", retryable=retryable)

        blob = Descriptor(media_type="a/b", digest=digests.of(b"?"), size=1)
        origins.record(store, [blob.digest], references.parse("x.y/base"))
        with pytest.raises(RegistryError, match="cut off"):
            ReadThroughSource(store, cast(Registry, Failing())).fetch(blob)
        assert asked == ["x.y/base"] * times

    def test_requests_that_were_retried_are_not_retried_again(self, store: Store) -> None:
        """A request is sent five times, and a blob fetched three times: that makes five, not fifteen."""
        blob = Descriptor(media_type="a/b", digest=digests.of(b"?"), size=1)
        with (
            serving(lambda asked: Answer(503 if "blobs" in asked.path else 200)) as server,
            Registry(Hosts(), Credentials(None), "x", sleep=lambda seconds: None) as client,
        ):
            origins.record(store, [blob.digest], references.parse(f"{server.address}/base"))
            with pytest.raises(RegistryError, match="503"):
                ReadThroughSource(store, client).fetch(blob)
            assert sum("blobs" in asked.path for asked in server.asked) == 5


class TestFormats:
    """OCI's format and docker's."""

    def test_an_index_becomes_a_manifest_list_over_the_same_blobs(
        self, registry: LocalRegistry, client: Registry, source: OciLayout
    ) -> None:
        root = multi_platform(source, "app")
        repository = client.repository(references.parse(f"{registry.address}/app"))
        copied = copier.copy(Converted(source, to_docker=True), "app", repository, ["docker"])
        graph = graphs.read(repository, copied)
        for node in (*graph.indexes, *graph.manifests):
            assert node.document.media_type in (media_types.DOCKER_INDEX, media_types.DOCKER_MANIFEST)
            schemas.validate(node.document.raw, node.document.media_type)
        assert {blob.digest for blob in graph.blobs} == {blob.digest for blob in graphs.read(source, root).blobs}
        back = copier.copy(Converted(repository, to_docker=False), "docker", source, ["back"])
        assert back.digest == root.digest

    def test_an_attestation_follows_its_image(self, source: OciLayout, tmp_path: Path) -> None:
        one = image(source, AMD64)
        index(source, [one, attestation(source, one)], name="app")
        target = OciLayout.create(tmp_path / "target")
        copied = copier.copy(Converted(source, to_docker=True), "app", target, ["app"])
        made = graphs.read_node(target, copied).document
        assert isinstance(made, Index)
        converted, statement = made.manifests
        assert converted.digest != one.digest
        assert statement.annotations[REFERENCE_DIGEST] == converted.digest
        assert graphs.read_node(target, statement).document.decode()["subject"]["digest"] == converted.digest

    def test_what_docker_cannot_say_is_refused_before_anything_is_sent(self, source: OciLayout, tmp_path: Path) -> None:
        config = graphs.read(source, image(source, AMD64)).blobs[0]
        zstd = Descriptor(media_type=media_types.OCI_LAYER_ZSTD, digest=config.digest, size=config.size)
        manifest = manifests.create(config, [zstd])
        source.write_manifest(manifest.descriptor(), manifest.raw)
        index(source, [manifest.descriptor(AMD64)], name="app")
        target = OciLayout.create(tmp_path / "target")
        with pytest.raises(UnsupportedError, match="zstd"):
            copier.copy(Converted(source, to_docker=True), "app", target, ["app"])
        assert not list((tmp_path / "target" / "blobs").rglob("*/*"))


def test_an_unreachable_registry_is_said_so(tmp_path: Path, store: Store, client: Registry) -> None:
    blob = Descriptor(media_type="a/b", digest=digests.of(b"?"), size=1)
    origins.record(store, [blob.digest], references.parse("127.0.0.1:1/gone"))
    with pytest.raises(RegistryError):
        ReadThroughSource(store, client).open_blob(blob)


def test_origins_are_few_and_the_latest_comes_first(store: Store) -> None:
    digest = digests.of(b"x")
    for number in [*range(20), 15]:
        origins.record(store, [digest], references.parse(f"x.y/r{number}"))
    assert [origin.path for origin in origins.find(store, digest)][:3] == ["r15", "r19", "r18"]
    assert len(origins.find(store, digest)) == 8
