"""A layout to copy from, a store, a client of registries, and a file to spool into."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from polyarch.registry import Credentials, Hosts, Registry
from polyarch.store.store import Store
from polyarch.transfer.layout import OciLayout


@pytest.fixture
def source(tmp_path: Path) -> OciLayout:
    return OciLayout.create(tmp_path / "source")


@pytest.fixture
def spool(tmp_path: Path) -> Callable[[], BinaryIO]:
    return lambda: (tmp_path / "spool").open("w+b")


@pytest.fixture
def client() -> Iterator[Registry]:
    with Registry(Hosts(), Credentials(None), "polyarch-test") as opened:
        yield opened


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened
