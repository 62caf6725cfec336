"""Root and an unprivileged user, for whom the sandbox must work alike."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import bases
from tests.needs import need, need_root
from tests.people import Person


@pytest.fixture(params=["root", "unprivileged"])
def someone(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Person]:
    """Root, then a user who has a range of subordinate ids."""
    need("crun", "setpriv", "unshare")
    if request.param == "root":
        need_root()
        yield Person("root", tmp_path, ())
    else:
        yield request.getfixturevalue("unprivileged")


@pytest.fixture(scope="session")
def amd64() -> dict[str, Path]:
    """The base of linux/amd64."""
    return bases.busybox_tars(["linux/amd64"])


@pytest.fixture(scope="session")
def two_platforms() -> dict[str, Path]:
    """The bases of linux/amd64 and linux/arm64, of which one is foreign everywhere."""
    return bases.busybox_tars(["linux/amd64", "linux/arm64"])


@pytest.fixture
def host_table() -> Iterator[None]:
    """Asserts that the host's table of binary formats is the same after the test."""
    table = Path("/proc/sys/fs/binfmt_misc")

    def listing() -> dict[str, str]:
        if not table.exists():
            return {}
        return {name: (table / name).read_text() for name in sorted(os.listdir(table)) if name != "register"}

    before = listing()
    yield
    assert listing() == before
