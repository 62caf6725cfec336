"""Keys that sign and verify, in PEM files: those of cosign, and any others of a kind that cosign knows.

A private key or a password is in no message: an error names the file only.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from polyarch.attest.signing import encrypted
from polyarch.attest.signing.extras import required
from polyarch.errors import PolyarchError, UnsupportedError, UsageError
from polyarch.secret import SecretBytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

    AnyPublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
    AnyPrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

_WHAT = "a signature with a key"
# PEM (RFC 7468). The first block counts, as in cosign.
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s*(.*?)-----END \1-----", re.DOTALL)
_LARGEST_FILE = 1 << 20
_SMALLEST_RSA = 2048

Password = Callable[[], SecretBytes]


class PublicKey:
    """A key that verifies signatures."""

    def __init__(self, key: "AnyPublicKey") -> None:
        self._key = key

    @property
    def der(self) -> bytes:
        """The SubjectPublicKeyInfo."""
        from cryptography.hazmat.primitives import serialization

        return self._key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def pem(self) -> bytes:
        """The contents of a file like cosign.pub."""
        return _armored("PUBLIC KEY", self.der)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the key, as `SHA256:` and base64."""
        return f"SHA256:{self.hint}"

    @property
    def hint(self) -> str:
        """What a bundle calls the key. It helps to find a key and proves nothing."""
        return base64.b64encode(hashlib.sha256(self.der).digest()).decode()

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Whether the signature of the data was made with this key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding

        if isinstance(self._key, ed25519.Ed25519PublicKey):
            try:
                self._key.verify(signature, data)
            except InvalidSignature:
                return _verifies_prehashed(self._key, signature, data)
            return True
        for hash_ in _hashes(self._key):
            try:
                if isinstance(self._key, ec.EllipticCurvePublicKey):
                    self._key.verify(signature, data, ec.ECDSA(hash_))
                else:
                    self._key.verify(signature, data, padding.PKCS1v15(), hash_)
            except InvalidSignature:
                continue
            return True
        return False

    def __repr__(self) -> str:
        return f"PublicKey({self.fingerprint})"


class PrivateKey:
    """A key that signs. Its repr shows the public key only."""

    def __init__(self, key: "AnyPrivateKey") -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    def sign(self, data: bytes) -> bytes:
        """A signature: ECDSA with SHA-256 (DER), Ed25519, or RSA PKCS #1 v1.5 with SHA-256."""
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding

        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(data)
        hash_ = _hashes(self._key.public_key())[0]
        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            return self._key.sign(data, ec.ECDSA(hash_))
        return self._key.sign(data, padding.PKCS1v15(), hash_)

    def __repr__(self) -> str:
        return f"PrivateKey({self.public.fingerprint})"


class KeyPair(msgspec.Struct, frozen=True):
    """The contents of two files, in PEM."""

    private: SecretBytes
    public: bytes


def generate(password: SecretBytes) -> KeyPair:
    """A new key pair (ECDSA, P-256), the private key encrypted with the password: what cosign makes."""
    with required("sign", _WHAT):
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    key = ec.generate_private_key(ec.SECP256R1())
    der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    document = encrypted.encrypt(SecretBytes(der), password)
    return KeyPair(SecretBytes(_armored(encrypted.LABELS[0], document)), PublicKey(key.public_key()).pem)


def load_private(content: SecretBytes, called: str, password: Password) -> PrivateKey:
    """The private key in a PEM file, which messages call `called`. `password` is called if the key is encrypted.

    Raises UsageError for another file, PolyarchError for a wrong password, CorruptError, UnsupportedError.
    """
    with required("sign", _WHAT):
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
    raw = bytes(content)
    label, body = _block(raw, called)
    if "PRIVATE KEY" not in label:
        raise UsageError(f"{called} has no private key, but a {label.lower()}", "sign with the private key of the pair")
    if label == "OPENSSH PRIVATE KEY":
        raise UnsupportedError(
            f"{called} is a key of ssh", "convert it with: ssh-keygen -p -m PKCS8 -f FILE, or make a new pair"
        )
    secret: bytes | None = None
    try:
        if label in encrypted.LABELS:
            der = encrypted.decrypt(_decoded(body, called), password(), called)
            return PrivateKey(_private(serialization.load_der_private_key(bytes(der), None), called))
        if label == "ENCRYPTED PRIVATE KEY" or b"Proc-Type: 4,ENCRYPTED" in body:
            secret = bytes(password())
            if not secret:
                raise PolyarchError(f"{called} is encrypted, and there is no password", "set COSIGN_PASSWORD")
        return PrivateKey(_private(serialization.load_pem_private_key(raw, secret), called))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The texts of these errors may have parts of the key.
        pass
    if secret is not None:
        raise PolyarchError(
            f"{called} cannot be decrypted: the password is wrong, or the file is damaged", "see COSIGN_PASSWORD"
        )
    raise UsageError(f"{called} has no private key that can be read", "it must be PEM: PKCS #8, PKCS #1 or cosign's")


def load_public(content: bytes, called: str) -> PublicKey:
    """The public key in a PEM file. Raises UsageError for another file, UnsupportedError for another kind of key."""
    with required("sign", _WHAT):
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
    label, _ = _block(content, called)
    if "PRIVATE KEY" in label:
        raise UsageError(f"{called} is a private key", "verify with the public key of the pair, such as cosign.pub")
    if label not in ("PUBLIC KEY", "RSA PUBLIC KEY"):
        raise UsageError(f"{called} has no public key, but a {label.lower()}", "give the public key alone, in PEM")
    try:
        return PublicKey(_public(serialization.load_pem_public_key(content), called))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UsageError(f"{called} has no public key that can be read", "it must be PEM, as cosign.pub is") from None


def _block(content: bytes, called: str) -> tuple[str, bytes]:
    """The label and the body of the first PEM block. Raises UsageError."""
    match = _PEM.search(content) if len(content) <= _LARGEST_FILE else None
    if match is None:
        why = "it is empty" if not content.strip() else "it has no PEM block, or only part of one"
        raise UsageError(f"{called} is not a key: {why}", "'polyarch generate-key-pair' makes a pair of keys")
    return match[1].decode(), match[2]


def _decoded(body: bytes, called: str) -> bytes:
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except ValueError:
        raise UsageError(f"{called} is not a key: its base64 is damaged", "restore it from a backup") from None


def _armored(label: str, der: bytes) -> bytes:
    text = base64.b64encode(der).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", "")).encode()


def _private(key: object, called: str) -> "AnyPrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
        _public(key.public_key(), called)
        return key
    raise _unknown(key, called)


def _public(key: object, called: str) -> "AnyPublicKey":
    """The key, if it is of a kind that cosign accepts, too."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in ("secp256r1", "secp384r1", "secp521r1"):
        return key
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _SMALLEST_RSA:
            raise UnsupportedError(
                f"{called} is an RSA key of {key.key_size} bits", f"keys of less than {_SMALLEST_RSA} bits are unsafe"
            )
        return key
    raise _unknown(key, called)


def _unknown(key: object, called: str) -> UnsupportedError:
    kind = type(key).__name__.removesuffix("PrivateKey").removesuffix("PublicKey")
    return UnsupportedError(f"{called} is a key of another kind ({kind})", "use ECDSA (P-256), Ed25519 or RSA")


def _hashes(key: "AnyPublicKey") -> "list[HashAlgorithm]":
    """The hashes that signatures of this key may have. The first is that of new signatures.

    That is SHA-256 for every curve, because `cosign verify` expects it unless it is told otherwise. `cosign sign` takes
    the hash that fits the curve, so both are accepted.
    """
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    found: list[HashAlgorithm] = [hashes.SHA256()]
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size > 256:
        found.append(hashes.SHA384() if key.key_size == 384 else hashes.SHA512())
    return found


def _verifies_prehashed(key: "ed25519.Ed25519PublicKey", signature: bytes, data: bytes) -> bool:
    """Whether this is a signature of Ed25519ph (RFC 8032), which cosign makes of an Ed25519 key."""
    from cryptography.hazmat.primitives import serialization
    from nacl import bindings
    from nacl.exceptions import BadSignatureError

    state = bindings.crypto_sign_ed25519ph_state()
    bindings.crypto_sign_ed25519ph_update(state, data)
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    try:
        return len(signature) == 64 and bindings.crypto_sign_ed25519ph_final_verify(state, signature, raw)
    except BadSignatureError:
        return False
