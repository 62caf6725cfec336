"""The packages of the images that syft has been asked about are those that it found, but for the rows of a table."""

import pytest

from polyarch.store import Store
from tests.attest.oracle import answers
from tests.attest.oracle.differences import compare
from tests.attest.oracle.images import IMAGES


@pytest.mark.parametrize("name", IMAGES)
def test_every_package_that_syft_finds_is_found(store: Store, name: str) -> None:
    found = compare(answers.packages_of(store, name), answers.read()[name])
    assert found.missing == ()
    assert found.additional == ()


def test_a_difference_without_a_row_is_noticed() -> None:
    mine, theirs = ("a", "1", "pkg:npm/a@1"), ("a", "2", "pkg:pypi/a@2")
    found = compare([mine, ("b", "1", "pkg:deb/b@1")], [theirs])
    assert found.missing == (theirs,)
    assert found.additional == (("b", "1", "pkg:deb/b@1"),)
    # A row explains a package only if what it says instead is there.
    devel = ("m", "(devel)", "pkg:golang/m@(devel)")
    assert compare([], [devel]).missing == (devel,)
    assert compare([("m", "", "pkg:golang/m")], [devel]).missing == ()
