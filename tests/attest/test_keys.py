"""Keys that sign: what is read, what is refused, and that no secret is in a message or a repr."""

import base64
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519
from hypothesis import given
from hypothesis import strategies as st

from polyarch.attest.signing import encrypted, keys
from polyarch.errors import CorruptError, PolyarchError, UnsupportedError, UsageError
from polyarch.secret import SecretBytes

DATA = b"what is signed"
_PEM, _PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
_OPENSSL = serialization.PrivateFormat.TraditionalOpenSSL
_PLAIN = serialization.NoEncryption()
SECRET = SecretBytes(b"correct horse")

MAKERS = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
}


def password() -> SecretBytes:
    return SECRET


def no_password() -> SecretBytes:
    raise AssertionError("the key is not encrypted")


def load(raw: bytes) -> keys.PrivateKey:
    return keys.load_private(SecretBytes(raw), "some.key", no_password)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_key_in_plain_pem_signs_and_its_public_key_verifies(kind: str) -> None:
    made = MAKERS[kind]()
    private = load(made.private_bytes(_PEM, _PKCS8, _PLAIN))
    public = keys.load_public(private.public.pem, "some.pub")
    signature = private.sign(DATA)
    assert public.verifies(signature, DATA)
    assert not public.verifies(signature, DATA + b"!")
    assert not public.verifies(signature[:-1], DATA)
    assert not public.verifies(b"", DATA)


@pytest.mark.parametrize("kind", ["P-256", "RSA"])
def test_keys_as_older_openssls_write_them_are_read(kind: str) -> None:
    made = MAKERS[kind]()
    assert load(made.private_bytes(_PEM, _OPENSSL, _PLAIN)).public.pem == made.public_key().public_bytes(
        _PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize("form", [_PKCS8, _OPENSSL])
def test_an_encrypted_key_of_openssl_needs_its_password(form: serialization.PrivateFormat) -> None:
    raw = SecretBytes(MAKERS["P-256"]().private_bytes(_PEM, form, serialization.BestAvailableEncryption(bytes(SECRET))))
    keys.load_private(raw, "some.key", password).sign(DATA)
    with pytest.raises(PolyarchError, match=r"some\.key cannot be decrypted: the password is wrong"):
        keys.load_private(raw, "some.key", lambda: SecretBytes(b"other"))
    with pytest.raises(PolyarchError, match="is encrypted, and there is no password"):
        keys.load_private(raw, "some.key", lambda: SecretBytes(b""))


@pytest.mark.parametrize("secret", [SECRET, SecretBytes(b"")])
def test_a_generated_pair_is_encrypted_with_the_password_even_an_empty_one(secret: SecretBytes) -> None:
    pair = keys.generate(secret)
    private = keys.load_private(pair.private, "cosign.key", lambda: secret)
    assert keys.load_public(pair.public, "cosign.pub").verifies(private.sign(DATA), DATA)
    with pytest.raises(PolyarchError, match=r"cosign\.key cannot be decrypted: the password is wrong"):
        keys.load_private(pair.private, "cosign.key", lambda: SecretBytes(b"wrong"))


def test_no_repr_shows_a_key_or_a_password() -> None:
    pair = keys.generate(SECRET)
    private = keys.load_private(pair.private, "cosign.key", password)
    shown = repr((pair, private, private.public, SECRET))
    assert private.public.fingerprint in shown
    assert "correct" not in shown
    assert bytes(pair.private).splitlines()[1].decode() not in shown


def _document() -> dict[str, object]:
    """The JSON of a generated key."""
    body = b"".join(bytes(keys.generate(SECRET).private).splitlines()[1:-1])
    document: dict[str, object] = json.loads(base64.b64decode(body))
    return document


def test_a_damaged_encrypted_key_is_named_and_none_of_it_is_shown() -> None:
    good = _document()
    cipher = {"name": "nacl/secretbox", "nonce": base64.b64encode(b"short").decode()}
    huge = {"name": "scrypt", "params": {"N": 1 << 40, "r": 8, "p": 1}, "salt": "AAAA"}
    odd = {"name": "scrypt", "params": {"N": 3, "r": 8, "p": 1}, "salt": "AAAA"}
    cases: list[tuple[object, str]] = [
        ({}, "not a valid encrypted key"),
        ([], "not a valid encrypted key"),
        (good | {"ciphertext": "?"}, "not a valid encrypted key"),
        (good | {"ciphertext": ""}, "wrong|not a valid encrypted key"),
        (good | {"cipher": cipher}, "not a valid encrypted key"),
        (good | {"cipher": {"name": "rot13", "nonce": "AAAA"}}, "encrypted with scrypt and rot13"),
        (good | {"kdf": huge}, "not a valid encrypted key"),
        (good | {"kdf": odd}, "not a valid encrypted key"),
    ]
    for document, message in cases:
        with pytest.raises(PolyarchError, match=message) as caught:
            encrypted.decrypt(json.dumps(document).encode(), SECRET, "some.key")
        assert "some.key" in caught.value.message
        assert str(good["ciphertext"])[:20] not in str(caught.value)


def test_a_key_of_n_32768_which_older_cosigns_wrote_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encrypted, "_COST", 32768)
    pair = keys.generate(SECRET)
    old = bytes(pair.private).replace(b"SIGSTORE", b"COSIGN")
    keys.load_private(SecretBytes(old), "cosign.key", password)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"\n \n", "it is empty"),
        (b"hello", "it has no PEM block"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA", "only part of one"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "only part of one"),
        (b"-----BEGIN PRIVATE KEY-----\n????\n-----END PRIVATE KEY-----\n", "no private key that can be read"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key that can be read"),
        (b"-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----\n?\n-----END ENCRYPTED COSIGN PRIVATE KEY-----\n", "base64"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "a key of ssh"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "but a certificate"),
        (b"x" * (2 << 20), "it has no PEM block"),
    ],
)
def test_what_is_not_a_private_key_is_refused_with_the_reason(content: bytes, message: str) -> None:
    with pytest.raises((UsageError, UnsupportedError), match=message) as caught:
        keys.load_private(SecretBytes(content), "some.key", password)
    assert "some.key" in caught.value.message


def test_the_wrong_half_of_a_pair_is_recognised() -> None:
    pair = keys.generate(SECRET)
    with pytest.raises(UsageError, match=r"cosign\.key is a private key"):
        keys.load_public(bytes(pair.private), "cosign.key")
    with pytest.raises(UsageError, match=r"cosign\.pub has no private key, but a public key"):
        keys.load_private(SecretBytes(pair.public), "cosign.pub", password)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (rsa.generate_private_key(65537, 1024), "RSA key of 1024 bits"),
        (ec.generate_private_key(ec.SECP256K1()), "another kind"),
        (dsa.generate_private_key(2048), "another kind"),
        (x25519.X25519PrivateKey.generate(), r"another kind \(X25519\)"),
    ],
    ids=["RSA-1024", "secp256k1", "DSA", "X25519"],
)
def test_keys_that_are_weak_or_do_not_sign_are_refused(made: object, message: str) -> None:
    private = made.private_bytes(_PEM, _PKCS8, _PLAIN)  # type: ignore[attr-defined]
    public = made.public_key().public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    for attempt in (lambda: load(private), lambda: keys.load_public(public, "some.pub")):
        with pytest.raises(UnsupportedError, match=message):
            attempt()


@given(st.binary(max_size=200))
def test_any_bytes_in_a_pem_block_are_a_key_or_an_error_of_ours(body: bytes) -> None:
    for label in ("PRIVATE KEY", "ENCRYPTED SIGSTORE PRIVATE KEY"):
        with pytest.raises((UsageError, CorruptError, UnsupportedError)):
            keys.load_private(SecretBytes(block(label, body)), "some.key", password)
    with pytest.raises((UsageError, UnsupportedError)):
        keys.load_public(block("PUBLIC KEY", body), "some.pub")


def block(label: str, body: bytes) -> bytes:
    return f"-----BEGIN {label}-----\n{base64.b64encode(body).decode()}\n-----END {label}-----\n".encode()
