"""A layout to copy from, and a file to spool into."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from polyarch.transfer.layout import OciLayout


@pytest.fixture
def source(tmp_path: Path) -> OciLayout:
    return OciLayout.create(tmp_path / "source")


@pytest.fixture
def spool(tmp_path: Path) -> Callable[[], BinaryIO]:
    return lambda: (tmp_path / "spool").open("w+b")
