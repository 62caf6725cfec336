"""A tar of a root filesystem becomes the image for a platform."""

import bz2
import gzip
import io
import lzma

import pytest

from polyarch.errors import CorruptError
from polyarch.images import import_ as importing
from polyarch.images import list as listing
from polyarch.layers.listing import scan
from polyarch.oci import digest as digests
from polyarch.oci import index as indexes
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types
from polyarch.oci import platform as platforms
from polyarch.oci import reference as references
from polyarch.oci.descriptor import REFERENCE_DIGEST, REFERENCE_TYPE, Descriptor
from polyarch.oci.document import Index
from polyarch.store import Store
from polyarch.transfer import choose
from tests.images.made import AMD64, ARM64, ARMV7, CREATED, import_image, tar

NAME = references.parse("app")
SETTINGS = importing.Settings(created=CREATED)


def index(store: Store, name: str = "docker.io/library/app:latest") -> Index:
    found = store.load(store.tagged()[name])
    assert isinstance(found, Index)
    return found


def test_each_platform_becomes_an_entry_of_one_index(store: Store) -> None:
    for platform in (AMD64, ARM64, ARMV7):
        import_image(store, "app", platform)
    assert [str(entry.platform) for entry in index(store).manifests] == ["linux/amd64", "linux/arm64", "linux/arm/v7"]
    assert store.kept() == ()
    for platform in (AMD64, ARM64, ARMV7):
        image = choose.choose(store, "app", index(store).descriptor(), platform, AMD64)
        assert image.config.platform == image.platform == platform
        assert image.config.document["created"] == CREATED


def test_importing_a_platform_again_replaces_its_entry_and_says_which(store: Store) -> None:
    import_image(store, "app", ARM64)
    first = import_image(store, "app", AMD64)
    second = import_image(store, "app", AMD64, {"new": "content"})
    assert second.replaced == first.image.digest
    assert [entry.digest for entry in index(store).manifests][1] == second.image.digest
    assert len(index(store).manifests) == 2
    assert import_image(store, "app", AMD64, {"new": "content"}).replaced is None


def test_the_baseline_comes_before_its_variants(store: Store) -> None:
    for platform in (platforms.parse("linux/amd64/v3"), ARM64, AMD64):
        import_image(store, "app", platform)
    assert indexes.describe(index(store)) == "linux/amd64, linux/arm64, linux/amd64/v3"


def test_what_was_attested_of_the_replaced_image_goes_with_it(store: Store) -> None:
    image = import_image(store, "app", AMD64).image
    statement = manifests.create(store.put_bytes(media_types.OCI_CONFIG, b"{}"), [])
    about = {REFERENCE_TYPE: "attestation-manifest", REFERENCE_DIGEST: image.digest}
    descriptor = store.put_bytes(statement.media_type, statement.raw)
    entry = Descriptor(descriptor.media_type, descriptor.digest, descriptor.size, annotations=about)
    attested = indexes.add(index(store), entry)
    store.write_manifest(attested.descriptor(), attested.raw, "docker.io/library/app:latest")
    import_image(store, "app", AMD64, {"new": "content"})
    assert len(index(store).manifests) == 1


def test_a_single_image_under_the_name_becomes_an_entry_beside_the_new_one(store: Store) -> None:
    image = import_image(store, "other", ARM64).image
    store.tag("docker.io/library/app:latest", Descriptor(image.media_type, image.digest, image.size))
    import_image(store, "app", AMD64)
    assert [str(entry.platform) for entry in index(store).manifests] == ["linux/arm64", "linux/amd64"]


@pytest.mark.parametrize(
    ("compress", "kept"), [(gzip.compress, True), (bytes, False), (bz2.compress, False), (lzma.compress, False)]
)
def test_gzip_is_kept_as_it_is_and_the_rest_packed_anew(store: Store, compress, kept: bool) -> None:  # type: ignore[no-untyped-def]
    raw = compress(tar({"./etc/": "", "./etc/motd": "hello"}))
    done = importing.import_image(store, io.BytesIO(raw), NAME, AMD64, SETTINGS)
    image = choose.choose(store, "app", done.descriptor, AMD64, AMD64)
    (layer,) = image.manifest.layers
    assert layer.media_type == media_types.OCI_LAYER_GZIP
    assert (layer.digest == digests.of(raw)) == kept
    with store.open_blob(layer) as reader:
        diff_id, found = scan(reader)
    assert image.config.diff_ids == (diff_id,)
    assert [entry.path for entry in found.entries] == ["etc", "etc/motd"]
    if kept:
        assert diff_id == digests.of(gzip.decompress(raw))


@pytest.mark.parametrize(
    "raw",
    [b"", b"no tar at all" * 100, gzip.compress(b"no tar at all" * 100), gzip.compress(tar({"a": "b"}))[:-20]],
    # pytest would make ids of the bytes, and gzip writes the time into them: no two workers would agree.
    ids=["nothing", "no tar", "no tar, compressed", "cut"],
)
def test_what_is_no_whole_tar_is_refused_and_nothing_changes(store: Store, raw: bytes) -> None:
    before = import_image(store, "app", AMD64).descriptor.digest
    with pytest.raises(CorruptError):
        importing.import_image(store, io.BytesIO(raw), NAME, ARM64, SETTINGS)
    assert store.tagged()["docker.io/library/app:latest"].digest == before


def test_the_history_says_where_the_image_came_from(store: Store) -> None:
    made = import_image(store, "app", source="root.tar")
    image = choose.choose(store, "app", made.descriptor, None, AMD64)
    assert [line.comment for line in image.config.history] == ["Imported from root.tar"]
    made = import_image(store, "app", message="from the build farm")
    image = choose.choose(store, "app", made.descriptor, None, AMD64)
    assert [line.comment for line in image.config.history] == ["from the build farm"]


def test_the_list_shows_what_was_imported(store: Store) -> None:
    import_image(store, "app", AMD64)
    import_image(store, "app", ARM64)
    (image,) = listing.list_images(store)
    assert image.is_index
    assert [(entry.platform, entry.present) for entry in image.platforms] == [
        ("linux/amd64", True),
        ("linux/arm64", True),
    ]
    assert image.size == sum(entry.size for entry in image.platforms) + store.tagged()[image.name].size
