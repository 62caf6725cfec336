from collections.abc import Iterator

import pytest

from tests.serve.spec.asked import Asked
from tests.serve.spec.servers import ours


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """`polyarch serve`, one for all tests of the package."""
    with ours(tmp_path_factory.mktemp("serve-spec")) as address:
        yield Asked(address)
