"""The ways to name an image of the store."""

import pytest

from polyarch.errors import ConflictError, NotFoundError, RegistryError, UsageError
from polyarch.images import inspect as inspecting
from polyarch.images import names
from polyarch.images import push as pushing
from polyarch.images import remove as removing
from polyarch.images import tag as tagging
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Index
from polyarch.registry import Credentials, Hosts, Registry
from polyarch.store import Store
from tests.images.made import ARM64, import_image
from tests.oci.examples import S390X, attestation, image, index

NAME = "docker.io/library/app:latest"


def test_a_name_finds_its_image_in_any_spelling(store: Store) -> None:
    made = import_image(store, "app")
    for spelling in ("app", "app:latest", "docker.io/library/app", "library/app:latest"):
        found = names.find(store, spelling)
        assert (found.name, found.descriptor.digest) == ("docker.io/library/app:latest", made.descriptor.digest)
        assert not found.by_id


def test_the_digest_its_first_digits_and_a_name_with_it_find_an_image(store: Store) -> None:
    digest = import_image(store, "team/app:1").descriptor.digest
    for spelling in (digest, digest[7:], digest[7:19], f"team/app@{digest}"):
        assert names.find(store, spelling).descriptor.digest == digest
    assert names.find(store, digest[7:13]).by_id


def test_a_name_wins_over_the_digits_of_an_id(store: Store) -> None:
    digits = import_image(store, "app").descriptor.digest[7:11]
    other = import_image(store, digits, ARM64)
    assert names.find(store, digits).descriptor.digest == other.descriptor.digest


def test_digits_that_fit_several_images_are_refused(store: Store) -> None:
    seen: dict[str, str] = {}
    for number in range(300):
        digest = import_image(store, f"app:{number}", files={"number": str(number)}).descriptor.digest
        start = digest[7:9]
        if start in seen:
            with pytest.raises(ConflictError, match="several ids begin with"):
                names.find(store, start)
            return
        seen[start] = digest
    pytest.fail("three hundred digests and no two that begin alike")


@pytest.fixture
def entries(store: Store) -> list[Descriptor]:
    """What an index `app` of the store names: linux/amd64, and linux/arm64, which was not pulled."""
    import_image(store, "app")
    document = store.load(import_image(store, "app", ARM64).descriptor)
    assert isinstance(document, Index)
    store.blob_path(document.manifests[1].digest).unlink()
    return list(document.manifests)


def test_an_entry_of_an_index_goes_by_its_digest(store: Store, entries: list[Descriptor]) -> None:
    for entry in entries:
        for spelling in (entry.digest, entry.digest[7:], entry.digest[7:19], f"app@{entry.digest}"):
            found = names.find(store, spelling)
            assert (found.name, found.descriptor.digest, found.member) == (NAME, entry.digest, entry)
    with pytest.raises(NotFoundError, match="no image other@"):
        names.find(store, f"other@{entries[0].digest}")
    index(store, [index(store, [image(store, S390X)])], name="docker.io/library/nested:1")
    inner = image(store, S390X)
    assert names.find(store, inner.digest[7:19]).name == "docker.io/library/nested:1"


def test_an_image_with_a_name_wins_over_entries(store: Store, entries: list[Descriptor]) -> None:
    store.tag("docker.io/library/alone:1", entries[0])
    found = names.find(store, entries[0].digest)
    assert (found.name, found.member) == ("docker.io/library/alone:1", None)


def test_an_entry_can_be_looked_at_named_and_saved(store: Store, entries: list[Descriptor]) -> None:
    shown = inspecting.inspect(store, entries[0].digest[7:19], None, ARM64)
    assert (shown["Id"], shown["Architecture"], shown["RepoTags"]) == (entries[0].digest, "amd64", [])
    tagging.tag(store, entries[0].digest[7:19], "alone:1")
    assert store.tagged()["docker.io/library/alone:1"].digest == entries[0].digest
    with pytest.raises(NotFoundError, match="is the image for linux/arm64 of app:latest, which is not in") as caught:
        tagging.tag(store, entries[1].digest[7:19], "never:1")
    assert caught.value.hint == "'polyarch pull --platform linux/arm64 app:latest' fetches it"


def test_an_entry_is_neither_removed_nor_pushed_by_its_digest_and_the_way_to_is_said(
    store: Store, entries: list[Descriptor]
) -> None:
    digits = entries[0].digest[7:19]
    with pytest.raises(ConflictError, match=f"{digits} is the image for linux/amd64 of app:latest") as refused:
        removing.remove(store, digits, force=True)
    assert "'polyarch rmi --platform linux/amd64 app:latest'" in (refused.value.hint or "")
    with (
        Registry(Hosts(), Credentials(None), "test") as registry,
        pytest.raises(UsageError, match="for linux/amd64 of app:latest") as caught,
    ):
        pushing.push(store, registry, references.parse(digits), None)
    assert "'polyarch push --platform linux/amd64 app:latest' pushes only this image" in (caught.value.hint or "")


def test_an_attestation_and_an_entry_without_a_platform_are_called_what_they_are(store: Store) -> None:
    one = image(store, S390X)
    bare = Descriptor(one.media_type, one.digest, one.size)
    index(store, [bare, attestation(store, bare)], name=NAME)
    said = []
    for entry in store.load(store.tagged()[NAME]).manifests:  # type: ignore[union-attr]
        with pytest.raises(ConflictError) as refused:
            removing.remove(store, entry.digest)
        said.append((refused.value.message.partition(" is ")[2], refused.value.hint))
    assert said == [
        ("the image for an unknown platform of app:latest; it is removed together with the index", None),
        ("an attestation of app:latest; it is removed together with the index", None),
    ]


def test_what_is_not_there_names_what_is_nearly_it(store: Store) -> None:
    import_image(store, "webserver:1.0")
    with pytest.raises(NotFoundError) as caught:
        names.find(store, "websever:1.0")
    assert caught.value.hint == "did you mean webserver:1.0?"


def test_what_is_no_name_at_all_is_a_usage_error(store: Store) -> None:
    with pytest.raises(UsageError, match="lower case"):
        names.find(store, "App")


def test_tag_gives_an_image_a_second_name(store: Store) -> None:
    made = import_image(store, "app:1")
    tagged = tagging.tag(store, "app:1", "localhost:5000/team/app:2")
    assert tagged.name == "localhost:5000/team/app:2"
    assert set(store.tagged()) == {"docker.io/library/app:1", "localhost:5000/team/app:2"}
    assert names.find(store, "localhost:5000/team/app:2").descriptor.digest == made.descriptor.digest


def test_a_tag_cannot_choose_a_digest(store: Store) -> None:
    digest = import_image(store, "app:1").descriptor.digest
    with pytest.raises(UsageError, match="cannot be assigned"):
        tagging.tag(store, "app:1", f"app@{digest}")


def test_a_slip_in_a_name_that_a_registry_is_asked_for_is_told_with_what_the_store_has(store: Store) -> None:
    import_image(store, "app2")
    for given, expected in (
        ("check the name", "check the name; did you mean app2:latest, which the store has?"),
        (None, "did you mean app2:latest, which the store has?"),
    ):
        with pytest.raises(NotFoundError) as caught, names.suggesting(store, "app"):
            raise NotFoundError("there is none", given)
        assert (caught.value.message, caught.value.hint) == ("there is none", expected)
    with pytest.raises(RegistryError) as other, names.suggesting(store, "something"):
        raise RegistryError("there is none")
    assert other.value.hint is None
