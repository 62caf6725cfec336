"""Logging in at real registries: one with htpasswd, one with TLS and an authority of its own."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from polyarch.errors import RegistryError, UsageError
from polyarch.registry import Credential, Credentials
from polyarch.registry.hosts import load
from scripts.local_registry import LocalRegistry
from tests.conftest import Authority, Login
from tests.registry.conftest import Client, blob, image


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return Credentials(tmp_path / "docker" / "config.json")


def test_who_logs_in_may_push_and_who_logs_out_may_not(
    password_registry: LocalRegistry, login: Login, credentials: Credentials, new_client: Callable[..., Client]
) -> None:
    address = password_registry.address
    nobody = new_client(credentials=credentials)
    with pytest.raises(RegistryError, match=r"HTTP status 401 \(Unauthorized\)") as caught:
        nobody.at(address, "app").has_blob(blob(b"x"))
    assert caught.value.status == 401
    assert f"polyarch login {address}" in str(caught.value.hint)

    stored = nobody.login(address, Credential(username=login.user, password=login.password))
    assert stored.endswith("config.json")
    ada = new_client(credentials=credentials)
    image(ada.at(address, "app"), b"layer", "1")
    with ada.at(address, "app").upload() as upload:
        upload.write(b"streamed")
        upload.commit(blob(b"streamed").digest)
    assert ada.at(address, "app").tags() == ("1",)

    assert ada.logout(address)
    assert not ada.logout(address)
    with pytest.raises(RegistryError):
        new_client(credentials=credentials).at(address, "app").tags()


def test_a_password_that_is_refused_is_not_stored(
    password_registry: LocalRegistry, login: Login, credentials: Credentials, new_client: Callable[..., Client]
) -> None:
    client = new_client(credentials=credentials)
    with pytest.raises(RegistryError) as caught:
        client.login(password_registry.address, Credential(username=login.user, password="wr0ng"))
    assert caught.value.status == 401
    assert "wr0ng" not in f"{caught.value} {caught.value.hint} {client.lines}"
    assert credentials.get(password_registry.address) is None


def test_a_host_that_is_no_registry_is_not_logged_in_to(client: Client) -> None:
    from tests.registry.faults import Answer, serving

    with serving(lambda asked: Answer(404)) as server, pytest.raises(RegistryError, match="cannot be used"):
        client.login(server.address, Credential(username="a", password="b"))
    with pytest.raises(UsageError, match="is not a registry"):
        client.login("ghcr.io/owner", Credential(username="a", password="b"))


def certified(tmp_path: Path, authority: Authority, address: str) -> Path:
    directory = tmp_path / "certs.d" / address
    directory.mkdir(parents=True)
    shutil.copy(authority.certificate, directory / "ca.crt")
    return directory.parent


def test_a_registry_with_an_authority_of_its_own_is_trusted_by_certs_d(
    tls_registry: LocalRegistry, authority: Authority, tmp_path: Path, new_client: Callable[..., Client]
) -> None:
    hosts = load(certificate_directories=[certified(tmp_path, authority, tls_registry.address)])
    client = new_client(hosts)
    repository = client.at(tls_registry.address, "app")
    repository.write_blob(blob(b"x" * 100_000), io.BytesIO(b"x" * 100_000))
    with repository.open_blob(blob(b"x" * 100_000)) as reader:
        assert reader.read() == b"x" * 100_000
    assert all(" https://" in line for line in client.lines)


def test_a_registry_with_an_unknown_authority_is_refused_even_on_loopback(
    tls_registry: LocalRegistry, client: Client
) -> None:
    with pytest.raises(RegistryError, match=r"TLS connection .* failed") as caught:
        client.at(tls_registry.address, "app").tags()
    assert "certs.d" in str(caught.value.hint)
    assert client.slept == []


def test_a_registry_that_is_marked_insecure_is_not_verified(
    tls_registry: LocalRegistry, new_client: Callable[..., Client], recwarn: pytest.WarningsRecorder
) -> None:
    client = new_client(load(insecure=[tls_registry.address]))
    client.at(tls_registry.address, "app").ping()
    assert " https://" in client.lines[-1]
    assert len(recwarn) == 0


def test_a_plain_registry_that_is_marked_insecure_is_spoken_to_plainly(
    shared_registry: LocalRegistry, new_client: Callable[..., Client]
) -> None:
    client = new_client(load(insecure=[shared_registry.address]))
    client.at(shared_registry.address, "app").ping()
    assert " http://" in client.lines[-1]


def test_an_authority_that_is_none_is_named(tmp_path: Path, new_client: Callable[..., Client]) -> None:
    directory = tmp_path / "127.0.0.1:1"
    directory.mkdir()
    (directory / "ca.crt").write_text("nothing")
    with pytest.raises(UsageError, match=r"ca\.crt has no certificate: expected PEM"):
        new_client(load(certificate_directories=[tmp_path])).at("127.0.0.1:1", "app").tags()
