"""A store of the test's own, and its pages."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from polyarch.page.answer import PageAnswer
from polyarch.store import Store
from tests.page import samples
from tests.page.serving import site_of

# `get("/team/app:1?q=x")`, in English unless told otherwise.
Get = Callable[..., PageAnswer]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def get(store: Store) -> Get:
    from urllib.parse import parse_qsl

    site = site_of(store, samples.NOW)

    def ask(address: str, language: str = "en", **more: str) -> PageAnswer:
        path, _, query = address.partition("?")
        return site.respond(path, dict(parse_qsl(query)), language, **{"origin": "http://127.0.0.1:5000", **more})  # type: ignore[arg-type]

    return ask
