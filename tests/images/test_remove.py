"""What goes when an image is removed, and what stays."""

import pytest

from polyarch.errors import ConflictError, NotFoundError, UsageError
from polyarch.images import list as listing
from polyarch.images import prune as pruning
from polyarch.images import remove, usage
from polyarch.images import tag as tagging
from polyarch.oci.descriptor import Descriptor
from polyarch.store import Store
from tests.images.made import AMD64, ARM64, ARMV7, import_image


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with `app` for two platforms; reopened, because a process keeps a lease on what it has found."""
    import_image(store, "app", AMD64)
    import_image(store, "app", ARM64)
    store.close()
    return Store.open(store.layout.root)


def digests(store: Store) -> int:
    return len(store.find_by_prefix(""))


def test_the_last_name_takes_the_content_with_it(filled: Store) -> None:
    removed = remove.remove(filled, "app")
    assert removed.untagged == ("app:latest",)
    # The index, and of each platform a manifest, a config and a layer.
    assert len(removed.deleted) == 7
    assert digests(filled) == 0
    assert not listing.list_images(filled)


def test_content_that_another_name_needs_stays(filled: Store) -> None:
    tagging.tag(filled, "app", "other")
    assert remove.remove(filled, "app").deleted == ()
    assert not filled.missing(filled.tagged()["docker.io/library/other:latest"])


def test_no_prune_keeps_the_content(filled: Store) -> None:
    before = digests(filled)
    assert remove.remove(filled, "app", prune=False).deleted == ()
    assert digests(filled) == before


def test_an_id_with_several_names_needs_force(filled: Store) -> None:
    tagging.tag(filled, "app", "other")
    identity = filled.tagged()["docker.io/library/app:latest"].digest[7:19]
    with pytest.raises(ConflictError, match="app:latest, other:latest"):
        remove.remove(filled, identity)
    assert remove.remove(filled, identity, force=True).untagged == ("app:latest", "other:latest")


def test_what_is_not_there_is_an_error_but_with_force(filled: Store) -> None:
    with pytest.raises(NotFoundError):
        remove.remove(filled, "nothing")
    assert remove.remove(filled, "nothing", force=True) == remove.Removed()


def test_many_go_at_once_and_each_is_told_what_became_of_it(store: Store) -> None:
    for name in ("one", "two", "three"):
        import_image(store, name, AMD64, {"shared": "x"})
    import_image(store, "other", AMD64)
    store.close()
    store = Store.open(store.layout.root)
    first, missing, again, second, last = remove.remove_all(store, ["one", "nothing", "one", "two", "other"])
    assert isinstance(missing, NotFoundError)
    assert isinstance(again, NotFoundError), "it was taken away just before"
    assert (first, second) == (remove.Removed(("one:latest",)), remove.Removed(("two:latest",))), "three needs it all"
    assert isinstance(last, remove.Removed)
    assert len(last.deleted) == 4
    assert set(store.tagged()) == {"docker.io/library/three:latest"}
    tagging.tag(store, "three", "four")
    store.close()
    store = Store.open(store.layout.root)
    third, fourth = remove.remove_all(store, ["three", "four"])
    assert third == remove.Removed(("three:latest",))
    assert isinstance(fourth, remove.Removed)
    assert len(fourth.deleted) == 4, "what both had goes with the last"


def test_an_entry_of_an_index_that_is_refused_keeps_nothing_of_the_others(filled: Store) -> None:
    (image,) = listing.list_images(filled)
    refused, removed = remove.remove_all(filled, [image.platforms[0].digest, "app"])
    assert isinstance(refused, ConflictError)
    assert isinstance(removed, remove.Removed)
    assert len(removed.deleted) == 7


def test_a_platforms_content_goes_and_the_index_stays_as_it_is(filled: Store) -> None:
    before = filled.tagged()["docker.io/library/app:latest"]
    removed = remove.remove(filled, "app", (ARM64,))
    assert removed.untagged == ()
    assert len(removed.deleted) == 3
    assert filled.tagged()["docker.io/library/app:latest"] == before
    (image,) = listing.list_images(filled)
    assert [entry.present for entry in image.platforms] == [True, False]


def test_a_platform_that_is_not_in_the_index_is_an_error_that_lists_those_that_are(filled: Store) -> None:
    with pytest.raises(NotFoundError) as caught:
        remove.remove(filled, "app", (ARMV7,))
    assert caught.value.hint == "it is for linux/amd64, linux/arm64"


def test_a_platforms_content_that_another_name_has_is_not_taken_from_it(filled: Store) -> None:
    (image,) = listing.list_images(filled)
    entry = image.platforms[1]
    size = filled.blob_path(entry.digest).stat().st_size
    filled.tag("docker.io/library/arm:1", Descriptor("application/vnd.oci.image.manifest.v1+json", entry.digest, size))
    with pytest.raises(ConflictError, match="another name"):
        remove.remove(filled, "app", (ARM64,))


def test_the_platform_of_many_goes_at_once(store: Store) -> None:
    for name in ("one", "two"):
        for platform in (AMD64, ARM64):
            import_image(store, name, platform, {"name": name, "platform": str(platform)})
    import_image(store, "alone", AMD64)
    store.close()
    store = Store.open(store.layout.root)
    unnamed = store.tagged()["docker.io/library/two:latest"]
    store.tag("docker.io/library/three:latest", unnamed)
    first, lacking, second = remove.remove_all(store, ["one", "alone", "two"], (ARM64,))
    assert isinstance(first, remove.Removed)
    assert isinstance(lacking, NotFoundError)
    assert isinstance(second, remove.Removed), "three is the same index"
    assert (len(first.deleted), len(second.deleted)) == (3, 3)
    assert {image.name: [entry.present for entry in image.platforms] for image in listing.list_images(store)} == {
        "docker.io/library/alone:latest": [True],
        "docker.io/library/one:latest": [True, False],
        "docker.io/library/three:latest": [True, False],
        "docker.io/library/two:latest": [True, False],
    }


def test_a_platform_of_a_single_image_is_a_usage_error(filled: Store) -> None:
    (image,) = listing.list_images(filled)
    entry = image.platforms[0]
    size = filled.blob_path(entry.digest).stat().st_size
    filled.tag("docker.io/library/one:1", Descriptor("application/vnd.oci.image.manifest.v1+json", entry.digest, size))
    with pytest.raises(UsageError, match="a single image, not an index"):
        remove.remove(filled, "one:1", (AMD64,))


def test_prune_takes_what_has_no_name_and_a_rehearsal_takes_nothing(filled: Store) -> None:
    # The index of the first import alone, which the second replaced.
    planned = pruning.prune(filled, dry_run=True)
    assert [item.kind for item in planned.removed] == ["blob"]
    before = digests(filled)
    assert pruning.prune(filled).removed == planned.removed
    assert digests(filled) == before - 1
    assert pruning.prune(filled).removed == ()


def test_the_space_of_a_store_is_told(filled: Store) -> None:
    space = usage.space(filled)
    assert (space.images.count, space.images.named, space.images.reclaimable) == (1, 1, 0)
    assert space.images.size > space.garbage > 0
    assert space.spare > space.garbage
    assert {record.kind for record in space.cache} == {"build cache", "index"}
