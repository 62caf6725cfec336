import contextlib
from collections.abc import Iterator

import pytest

from tests.needs import need
from tests.serve.spec.asked import Asked
from tests.serve.spec.servers import docker_registry, ours


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """`polyarch serve`, one of each world for all tests of the package."""
    with contextlib.ExitStack() as stack:
        yield Asked(lambda world: stack.enter_context(ours(tmp_path_factory.mktemp(world), world)))


@pytest.fixture
def witnessing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """docker-registry, one of each world."""
    need("docker-registry", "openssl")
    with contextlib.ExitStack() as stack:
        yield Asked(lambda world: stack.enter_context(docker_registry(tmp_path_factory.mktemp(world), world)))
