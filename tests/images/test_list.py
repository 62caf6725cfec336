"""Listing images: what is shown, and that it stays correct when the store changes."""

import pytest

from polyarch.errors import NotFoundError
from polyarch.images import history as histories
from polyarch.images import inspect as inspecting
from polyarch.images import list as listing
from polyarch.images import names
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import Descriptor
from polyarch.store import Store
from polyarch.transfer import choose
from tests.images.made import AMD64, ARM64, CREATED, import_image


def shown(store: Store) -> list[tuple[str, list[tuple[str, bool]]]]:
    return [
        (names.familiar(image.name), [(entry.platform, entry.present) for entry in image.platforms])
        for image in listing.list_images(store, unnamed=True)
    ]


def test_names_are_sorted_and_each_has_its_platforms(store: Store) -> None:
    import_image(store, "zebra", AMD64)
    import_image(store, "app:2", AMD64)
    import_image(store, "app:2", ARM64)
    assert shown(store) == [
        ("app:2", [("linux/amd64", True), ("linux/arm64", True)]),
        ("zebra:latest", [("linux/amd64", True)]),
    ]


def test_a_platform_whose_content_is_gone_is_shown_as_absent(store: Store) -> None:
    import_image(store, "app", AMD64)
    gone = import_image(store, "app", ARM64).image
    assert listing.list_images(store)[0].platforms[1].present
    store.blob_path(gone.digest).unlink()
    (image,) = listing.list_images(store)
    assert [(entry.present, entry.size > 0) for entry in image.platforms] == [(True, True), (False, False)]


def test_a_single_image_is_shown_with_the_platform_of_its_config(store: Store) -> None:
    image = import_image(store, "app", ARM64).image
    store.tag("docker.io/library/single:1", Descriptor(image.media_type, image.digest, image.size))
    listed = listing.list_images(store)[1]
    assert (listed.is_index, listed.digest, listed.platforms[0].platform) == (False, image.digest, "linux/arm64")


def test_an_image_that_lost_its_name_is_listed_last_and_only_when_asked_for(store: Store) -> None:
    import_image(store, "app", AMD64)
    store.tag("docker.io/library/app:latest", import_image(store, "other", ARM64).descriptor)
    assert shown(store)[-1] == ("<none>", [("linux/amd64", True)])
    assert len(listing.list_images(store)) == 2


def test_a_damaged_manifest_does_not_hide_the_other_images(store: Store) -> None:
    import_image(store, "good", AMD64)
    bad = import_image(store, "bad", ARM64).descriptor
    path = store.blob_path(bad.digest)
    path.chmod(0o600)
    path.write_bytes(b"{")
    assert [name for name, _ in shown(store)] == ["bad:latest", "good:latest"]


def test_a_list_of_hundreds_of_names_is_the_same_each_time_and_notices_each_change(store: Store) -> None:
    # What is read for so many names is kept in the cache; a shorter list never uses it.
    one = import_image(store, "one", AMD64).descriptor
    for number in range(250):
        store.tag(f"docker.io/library/many:{number:03}", one)
    gone = import_image(store, "two", ARM64).image
    many = [(f"many:{number:03}", [("linux/amd64", True)]) for number in range(250)]
    for _ in range(2):
        assert shown(store) == [*many, ("one:latest", [("linux/amd64", True)]), ("two:latest", [("linux/arm64", True)])]
    store.blob_path(gone.digest).unlink()
    import_image(store, "one", ARM64, {"other": "content"})
    both = [("linux/amd64", True), ("linux/arm64", True)]
    assert shown(store) == [*many, ("one:latest", both), ("two:latest", [("linux/arm64", False)])]


def test_what_an_image_shares_with_itself_is_counted_once(store: Store) -> None:
    same = {"file": "".join(f"{number * number:x}" for number in range(20_000))}
    import_image(store, "app", AMD64, same)
    one = listing.list_images(store)[0].platforms[0].size
    import_image(store, "app", ARM64, same)
    assert listing.list_images(store)[0].size < 2 * one


def test_inspect_has_dockers_fields_and_the_platforms(store: Store) -> None:
    import_image(store, "app:1", AMD64)
    made = import_image(store, "app:1", ARM64)
    seen = inspecting.inspect(store, "app:1", None, AMD64)
    assert (seen["Id"], seen["RepoTags"], seen["Os"], seen["Architecture"]) == (
        made.descriptor.digest,
        ["app:1"],
        "linux",
        "amd64",
    )
    assert seen["RepoDigests"] == [f"app@{made.descriptor.digest}"]
    assert seen["Created"] == CREATED
    assert [entry["Platform"] for entry in seen["Platforms"]] == ["linux/amd64", "linux/arm64"]
    assert inspecting.inspect(store, "app:1", ARM64, AMD64)["Architecture"] == "arm64"


def test_inspect_leaves_out_the_empty_fields_that_docker_leaves_out(store: Store) -> None:
    import_image(store, "app", AMD64)
    import_image(store, "app", platforms.parse("linux/arm/v6"))
    details = inspecting.inspect(store, "app", AMD64, AMD64)
    assert details["Author"] == ""
    assert not details.keys() & {"Variant", "OsVersion"}
    assert inspecting.inspect(store, "app", platforms.parse("linux/arm/v6"), AMD64)["Variant"] == "v6"


def test_inspect_without_a_platform_shows_another_where_the_hosts_is_not_there(store: Store) -> None:
    import_image(store, "app", ARM64)
    assert inspecting.inspect(store, "app", None, AMD64)["Architecture"] == "arm64"
    with pytest.raises(NotFoundError) as caught:
        inspecting.inspect(store, "app", platforms.parse("linux/s390x"), AMD64)
    assert caught.value.hint == "it is for linux/arm64"


def test_history_is_newest_first_and_pairs_steps_with_layers(store: Store) -> None:
    made = import_image(store, "app", message="the base")
    image = choose.choose(store, "app", made.descriptor, None, AMD64)
    (step,) = histories.history(image)
    assert (step.comment, step.layer, step.diff_id) == (
        "the base",
        image.manifest.layers[0].digest,
        image.config.diff_ids[0],
    )
    bare = choose.ChosenImage(
        descriptor=image.descriptor,
        manifest=image.manifest,
        config=image.config.with_layers(image.config.diff_ids, ()),
        platform=AMD64,
    )
    assert [step.size for step in histories.history(bare)] == [image.manifest.layers[0].size]
