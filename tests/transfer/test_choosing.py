"""Which image of an index a platform selects, with nested indexes and entries without a platform."""

from pathlib import Path

import msgspec
import pytest

from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci import digest as digests
from polyarch.oci import index as indexes
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Index
from polyarch.transfer import copy as copier
from polyarch.transfer import graph as graphs
from polyarch.transfer import select
from polyarch.transfer.copy import CopyOptions
from polyarch.transfer.layout import OciLayout
from tests.oci.examples import AMD64, ARM, ARM64, S390X, attestation, image


class Counting(OciLayout):
    """A layout that counts what is read of it."""

    manifests_read = 0

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        self.manifests_read += 1
        return super().read_manifest(descriptor)


@pytest.fixture
def place(tmp_path: Path) -> Counting:
    OciLayout.create(tmp_path / "layout")
    return Counting(tmp_path / "layout")


def bare(entry: Descriptor) -> Descriptor:
    return msgspec.structs.replace(entry, platform=None)


def nested(place: OciLayout, *entries: Descriptor, platform: platforms.Platform | None = None) -> Descriptor:
    """Write an index of these; its entry for another index."""
    index = indexes.create(entries)
    place.write_manifest(index.descriptor(), index.raw)
    return index.descriptor(platform)


def test_an_index_that_says_its_platforms_is_not_read_any_further(place: Counting) -> None:
    amd64, arm64 = image(place, AMD64), image(place, ARM64)
    index = indexes.create([arm64, amd64])
    place.manifests_read = 0
    assert select.select(place, index, AMD64) == amd64
    assert [leaf.entry for leaf in select.choose(place, index, [ARM64, AMD64])] == [arm64, amd64]
    assert place.manifests_read == 0


def test_the_images_of_nested_indexes_are_found(place: Counting) -> None:
    amd64, arm64 = image(place, AMD64), image(place, ARM64)
    labelled = indexes.create(
        [nested(place, amd64, platform=AMD64), nested(place, arm64, attestation(place, arm64), platform=ARM64)]
    )
    assert select.select(place, labelled, ARM64) == arm64
    (leaf,) = select.choose(place, labelled, [ARM64])
    assert leaf.above == (labelled.manifests[1].digest,)
    assert len(leaf.about) == 1
    unlabelled = indexes.create([nested(place, nested(place, bare(amd64), bare(arm64)))])
    found = select.select(place, unlabelled, ARM64)
    assert found is not None
    assert (found.digest, found.platform) == (arm64.digest, ARM64)
    assert select.describe(place, unlabelled) == "linux/amd64, linux/arm64"


def test_an_entry_without_a_platform_has_that_of_its_config(place: Counting) -> None:
    amd64, arm = image(place, AMD64), image(place, ARM)
    index = indexes.create([bare(amd64), bare(arm)])
    found = select.select(place, index, ARM)
    assert found is not None
    assert (found.digest, found.platform) == (arm.digest, ARM)
    with pytest.raises(NotFoundError, match="no image for linux/s390x") as caught:
        select.choose(place, index, [S390X])
    assert "it has linux/amd64, linux/arm/v7" in str(caught.value.hint)


def test_what_names_its_platform_goes_before_what_does_not(place: Counting) -> None:
    silent, speaking = image(place, AMD64, {"a": "1"}), image(place, AMD64, {"a": "2"})
    assert select.select(place, indexes.create([bare(silent), speaking]), AMD64) == speaking


def test_entries_of_unknown_media_types_are_passed_over(place: Counting) -> None:
    amd64 = image(place, AMD64)
    other = Descriptor("application/vnd.example+json", digests.of(b"x"), 1, platform=AMD64)
    index = indexes.create([other, amd64])
    place.write_manifest(index.descriptor(), index.raw, "app")
    assert select.select(place, index, AMD64) == amd64
    graph = graphs.read(place, index.descriptor())
    assert graph.absent == ()
    assert other.digest not in {blob.digest for blob in graph.blobs}


def test_an_artifact_without_a_platform_is_no_image(place: Counting) -> None:
    amd64 = image(place, AMD64)
    index = indexes.create([bare(attestation(place, amd64)), bare(amd64)])
    found = select.select(place, index, AMD64)
    assert found is not None
    assert found.digest == amd64.digest


def test_indexes_that_lie_too_deep_are_refused(place: Counting) -> None:
    entry = nested(place, bare(image(place, AMD64)))
    for _ in range(graphs.MAX_DEPTH + 2):
        entry = nested(place, entry)
    with pytest.raises(CorruptError, match="nested more than"):
        select.select(place, indexes.create([entry]), AMD64)


def test_windows_versions_are_chosen_by_the_version_or_its_beginning(place: Counting) -> None:
    old, new = (
        image(place, platforms.parse(f"windows({version})/amd64"), {"v": version})
        for version in ("10.0.17763.1", "10.0.20348.2")
    )
    index = indexes.create([old, new])
    assert select.describe(place, index) == "windows(10.0.17763.1)/amd64, windows(10.0.20348.2)/amd64"
    assert select.select(place, index, platforms.parse("windows(10.0.20348)/amd64")) == new
    chosen = select.choose(place, index, [platforms.parse("windows(10.0.20348.2)/amd64")])
    assert [leaf.entry for leaf in chosen] == [new]
    assert len(select.choose(place, index, [platforms.parse("windows/amd64")])) == 2
    with pytest.raises(NotFoundError):
        select.choose(place, index, [platforms.parse("windows(10.0.1)/amd64")])


@pytest.mark.parametrize("sparse", [True, False])
def test_some_platforms_of_a_nested_index_are_copied(place: Counting, tmp_path: Path, sparse: bool) -> None:
    amd64, arm64 = image(place, AMD64), image(place, ARM64)
    root = indexes.create([nested(place, bare(amd64)), nested(place, bare(arm64), attestation(place, arm64))])
    place.write_manifest(root.descriptor(), root.raw, "app")
    target = OciLayout.create(tmp_path / "target")
    sent = copier.send(place, "app", target, ["app"], CopyOptions(platforms=(ARM64,), sparse=sparse))
    assert target.has_manifest(arm64)
    assert not target.has_manifest(amd64)
    document = graphs.read_node(target, sent.descriptor).document
    assert isinstance(document, Index)
    if sparse:
        assert sent.descriptor.digest == root.digest
    else:
        # The index is of just what was chosen, and flat.
        assert [entry.digest for entry in indexes.images(document)] == [arm64.digest]
        assert document.manifests[0].platform == ARM64
        assert len(document.manifests) == 2
    assert select.select(target, document, ARM64) is not None
