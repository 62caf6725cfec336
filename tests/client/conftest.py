"""A client on a store of its own, with nothing of the developer's own settings."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from polyarch import Polyarch
from polyarch.progress import Event
from tests import bases

# Makes a client: `client(progress=…)` on the test's store.
Clients = Callable[..., Polyarch]


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    home = tmp_path / "home"
    home.mkdir()
    environment = {"HOME": str(home), "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}

    def make(**settings: object) -> Polyarch:
        return Polyarch(**{"root": tmp_path / "store", "environment": environment, **settings})  # type: ignore[arg-type]

    return make


@pytest.fixture
def client(clients: Clients) -> Iterator[Polyarch]:
    """A client on an empty store."""
    with clients() as made:
        yield made


@pytest.fixture
def busybox(busybox_store: Path, tmp_path: Path) -> str:
    """The name of an image for amd64, arm64, arm/v7 and s390x in the store of `client`."""
    bases.copy_store(busybox_store, tmp_path / "store")
    return "busybox"


@pytest.fixture
def events() -> list[Event]:
    """What a client made with `progress=events.append` has said."""
    return []
