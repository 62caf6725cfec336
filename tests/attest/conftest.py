"""A store of the test's own, places, and keys that sign."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch.attest.signing import keys
from polyarch.attest.signing.keys import PrivateKey
from polyarch.registry import Credentials, Hosts, Registry
from polyarch.secret import SecretBytes
from polyarch.store import Store
from polyarch.transfer.locate import Places
from tests.attest import sigstore_services
from tests.attest.cosign import PASSWORD, Cosign
from tests.attest.sigstore_services import SigstoreServices


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def places(store: Store, tmp_path: Path) -> Iterator[Places]:
    """The store, and registries of loopback."""
    with Registry(Hosts(), Credentials(None), "polyarch-test", sleep=lambda seconds: None) as client:
        yield Places(store, client, lambda: (tmp_path / "spool").open("w+b"))


@pytest.fixture(scope="session")
def pair() -> keys.KeyPair:
    """A pair of keys, encrypted with PASSWORD. Deriving a key takes 0.2 s, so there is one for all tests."""
    return keys.generate(SecretBytes(PASSWORD.encode()))


@pytest.fixture(scope="session")
def key(pair: keys.KeyPair) -> PrivateKey:
    return keys.load_private(pair.private, "cosign.key", lambda: SecretBytes(PASSWORD.encode()))


@pytest.fixture
def key_files(pair: keys.KeyPair, tmp_path: Path) -> tuple[Path, Path]:
    """cosign.key and cosign.pub."""
    private, public = tmp_path / "cosign.key", tmp_path / "cosign.pub"
    private.write_bytes(bytes(pair.private))
    public.write_bytes(pair.public)
    return private, public


@pytest.fixture
def services() -> Iterator[SigstoreServices]:
    with sigstore_services.running() as running:
        yield running


@pytest.fixture
def cosign(tmp_path: Path) -> Cosign:
    """cosign of Debian sid, in a directory of its own."""
    home = tmp_path / "cosign"
    home.mkdir()
    return Cosign(home)
