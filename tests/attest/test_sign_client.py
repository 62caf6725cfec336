"""`client.images.sign` and `verify`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from polyarch import Polyarch, SignatureError, UsageError
from polyarch.attest.signing.keys import KeyPair
from polyarch.store import Store
from tests.attest.cosign import PASSWORD
from tests.attest.sigstore_services import ISSUER, SigstoreServices
from tests.images.layered import file, image

APP = "127.0.0.1:9/app:1"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Polyarch]:
    """A client with an image in its store."""
    with Store.open(tmp_path / "store") as store:
        store.tag(APP, image(store, "linux/amd64", [file("a", "b")]))
    with Polyarch(root=tmp_path / "store") as opened:
        yield opened


def test_an_image_is_signed_with_a_key_and_verified(
    client: Polyarch, pair: KeyPair, key_files: tuple[Path, Path]
) -> None:
    private, public = key_files
    (signed,) = client.images.sign(APP, key=private, password=PASSWORD, annotations={"a": "1"})
    for key in (public, pair.public):
        (verified,) = client.images.verify(APP, key=key, annotations={"a": "1"})
        assert (verified.digest, verified.name) == (signed.digest, APP)
    with pytest.raises(SignatureError, match="annotation a is '1', not '2'"):
        client.images.verify(APP, key=public, annotations={"a": "2"})


def test_an_attestation_is_verified_by_its_type(client: Polyarch, pair: KeyPair) -> None:
    given = {"key": bytes(pair.private), "password": PASSWORD.encode()}
    client.images.sign(APP, predicate={"ok": True}, predicate_type="https://example.org/review", **given)  # type: ignore[arg-type]
    with pytest.raises(SignatureError, match="not a signature"):
        client.images.verify(APP, key=pair.public)
    (verified,) = client.images.verify(APP, key=pair.public, predicate_type="https://example.org/review")
    assert verified.signatures[0].predicate == {"ok": True}


def test_an_image_is_signed_with_an_identity(client: Polyarch, services: SigstoreServices, tmp_path: Path) -> None:
    root, config = services.files(tmp_path)
    client.images.sign(APP, identity_token=services.token(), trusted_root=root, signing_config=config)
    (verified,) = client.images.verify(APP, identity_regexp="@example.org$", issuer=ISSUER, trusted_root=root)
    assert str(verified.signatures[0].signer) == f"dev@example.org (issuer {ISSUER})"


def test_arguments_that_do_not_fit_are_refused_without_a_secret(client: Polyarch, tmp_path: Path) -> None:
    calls = {
        "sign needs a key or an identity_token": lambda: client.images.sign(APP),
        "the key .*absent cannot be read": lambda: client.images.sign(APP, key=tmp_path / "absent"),
        "key cannot be combined with identity_token": lambda: client.images.sign(
            APP, key=b"x", identity_token="hunter2"
        ),
        "password cannot be a int": lambda: client.images.sign(APP, key=b"x", password=2),  # type: ignore[arg-type]
        "identity_token cannot be a bytes": lambda: client.images.sign(APP, identity_token=b"hunter2"),  # type: ignore[arg-type]
        "belong together": lambda: client.images.sign(APP, key=b"x", predicate={}),
        "the identity of a certificate is needed": lambda: client.images.verify(APP),
        "key cannot be combined with an identity": lambda: client.images.verify(APP, key=b"x", identity="a"),
        "the key is not a key": lambda: client.images.verify(APP, key=b"x"),
    }
    for message, call in calls.items():
        with pytest.raises(UsageError, match=message) as caught:
            call()
        assert "hunter2" not in str(caught.value)
