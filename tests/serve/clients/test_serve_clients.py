"""The clients that need neither root nor much time. `make serve-clients` runs all."""

from collections.abc import Iterator

import pytest

from tests.needs import need
from tests.serve.clients.catalog import CLIENTS, Counter, secured, served


@pytest.fixture(scope="module", params=[served, secured], ids=["open", "secured"])
def counter(request: pytest.FixtureRequest) -> Iterator[Counter]:
    need("skopeo", "mmdebstrap")
    with Counter(request.param) as running:
        yield running


# On a new machine Debian's newest programs are installed first.
@pytest.mark.timeout(400)
@pytest.mark.integration
@pytest.mark.xdist_group("serve-clients")
@pytest.mark.parametrize("name", [name for name, client in CLIENTS.items() if client.quick])
def test_a_client_pushes_pulls_copies_and_deletes_an_index(name: str, counter: Counter) -> None:
    drive = counter.drive(name)
    assert {"push", "push again", "pull", "copy to another repository"} <= set(drive.results)
    assert drive.wrong() == {}
