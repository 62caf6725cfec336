"""The services that carriers of a cache are tested with."""

from collections.abc import Iterator

import pytest

from scripts.local_registry import LocalRegistry, running
from tests.buildcache.buckets import S3Server, s3_server
from tests.needs import need


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRegistry]:
    """A registry for the tests of one file."""
    need("docker-registry")
    with running(tmp_path_factory.mktemp("registry")) as one:
        yield one


@pytest.fixture(scope="module")
def buckets() -> Iterator[S3Server]:
    """A server of S3 for the tests of one file."""
    with s3_server() as one:
        yield one
