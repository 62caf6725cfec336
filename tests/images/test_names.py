"""How an image of the store can be called."""

import pytest

from polyarch.errors import ConflictError, NotFoundError, UsageError
from polyarch.images import names
from polyarch.images import tag as tagging
from polyarch.store import Store
from tests.images.made import ARM64, import_image


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
            with pytest.raises(ConflictError, match="beginning of several ids"):
                names.find(store, start)
            return
        seen[start] = digest
    pytest.fail("three hundred digests and no two that begin alike")


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
    with pytest.raises(UsageError, match="no one can choose"):
        tagging.tag(store, "app:1", f"app@{digest}")
