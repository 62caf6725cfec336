"""The prepared store and registry that all points of a worker start from."""

from collections.abc import Iterator

import pytest

from tests.needs import need
from tests.reliability import faults, scenarios
from tests.reliability.crash import Aims


@pytest.fixture(scope="session")
def aims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aims]:
    """Commands, and where each can be hit."""
    need("docker-registry", "skopeo", "crun")
    directory = tmp_path_factory.mktemp("reliability")
    faults.need_strace(directory)
    with scenarios.prepared(directory / "site") as site:
        yield Aims(site)
