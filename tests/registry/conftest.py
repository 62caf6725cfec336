"""What the tests of this room share: a registry for a whole module, and clients that do not wait."""

from collections.abc import Callable, Iterator

import pytest

from polyarch.oci import config as configs
from polyarch.oci import digest as digests
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types
from polyarch.oci import platform as platforms
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Manifest
from polyarch.registry import Credentials, Hosts, Proxies, Registry, Repository
from scripts.local_registry import LocalRegistry, running
from tests.needs import need


@pytest.fixture(scope="module")
def shared_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRegistry]:
    """One docker-registry for a module; each test takes a repository name of its own."""
    need("docker-registry")
    with running(tmp_path_factory.mktemp("shared-registry")) as server:
        yield server


class Client(Registry):
    """A Registry that records its debug output and how long it would have slept. Its clock is set by the test."""

    def __init__(
        self, hosts: Hosts | None = None, credentials: Credentials | None = None, proxies: Proxies | None = None
    ) -> None:
        self.lines: list[str] = []
        self.slept: list[float] = []
        self.now = 0.0  # the seconds by which tokens expire
        super().__init__(
            hosts or Hosts(),
            credentials or Credentials(None),
            "polyarch/test",
            proxies=proxies or Proxies(),
            debug=self.lines.append,
            sleep=self.slept.append,
            clock=lambda: self.now,
        )

    def at(self, address: str, path: str) -> Repository:
        return self.repository(references.parse(f"{address}/{path}"))


@pytest.fixture
def new_client() -> Iterator[Callable[..., Client]]:
    """Makes clients, and closes them."""
    made: list[Client] = []

    def make(hosts: Hosts | None = None, credentials: Credentials | None = None) -> Client:
        made.append(Client(hosts, credentials))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(new_client: Callable[..., Client]) -> Client:
    return new_client()


def blob(content: bytes, media_type: str = media_types.OCI_LAYER) -> Descriptor:
    return Descriptor(media_type, digests.of(content), len(content))


def image(repository: Repository, layer: bytes, tag: str | None = None) -> Manifest:
    """Write an image of one layer."""
    import io

    base = configs.empty(platforms.parse("linux/amd64"))
    config = base.with_layers((digests.of(layer),), ()).encode()
    for content in (layer, config):
        repository.write_blob(blob(content), io.BytesIO(content))
    manifest = manifests.create(blob(config, media_types.OCI_CONFIG), [blob(layer)])
    repository.write_manifest(manifest.descriptor(), manifest.raw, tag)
    return manifest
