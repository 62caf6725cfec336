"""An empty store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch.store import Store


@pytest.fixture
def store(store_root: Path) -> Iterator[Store]:
    with Store.open(store_root) as opened:
        yield opened
