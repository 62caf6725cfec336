from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch.serve import server
from tests.serve.requests import Requests


@pytest.fixture
def store_root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def ask(store_root: Path) -> Iterator[Requests]:
    """A server of a new store."""
    with server.running(store_root) as address:
        yield Requests(address)
