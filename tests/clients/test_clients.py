"""The clients that need neither npm nor much time. `make clients` runs all."""

from collections.abc import Iterator

import pytest

from tests.clients.catalog import CLIENTS, Server
from tests.needs import need


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    need("docker-registry", "git", "mmdebstrap")
    with Server() as running:
        yield running


# On a new machine the client is installed first.
@pytest.mark.timeout(400)
@pytest.mark.integration
@pytest.mark.parametrize("name", [name for name, client in CLIENTS.items() if client.quick])
def test_a_client_gets_what_it_asks_for(name: str, server: Server) -> None:
    stage = server.run(name)
    assert stage.calls()
    assert len(stage.results) > 5
    assert stage.wrong() == {}
