"""A store and a registry client."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch.registry import Credentials, Hosts, Registry
from polyarch.store.store import Store
from polyarch.transfer.layout import OciLayout
from polyarch.transfer.locate import Places


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    """An empty store, and a client of registries."""
    with Store.open(tmp_path / "store") as store, Registry(Hosts(), Credentials(None), "polyarch-test") as client:
        yield Places(store, client, lambda: (tmp_path / "spool").open("w+b"))


@pytest.fixture
def store(places: Places) -> Store:
    return places.store


@pytest.fixture
def layout(tmp_path: Path) -> OciLayout:
    return OciLayout.create(tmp_path / "layout")
