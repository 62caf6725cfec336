"""cosign's encrypted private keys: PKCS #8 in a JSON document in a PEM block.

The document is that of go-securesystemslib ("encrypted"): the key of a nacl/secretbox is derived from the password by
scrypt.
"""

import base64
import binascii
import hashlib
import os

import msgspec

from polyarch.attest.signing.extras import required
from polyarch.errors import CorruptError, PolyarchError
from polyarch.oci import nesting
from polyarch.secret import SecretBytes

# cosign writes the first; it has read the second since its first versions.
LABELS = ("ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY")

# What cosign writes. Its older versions wrote N = 32768. A key file may ask for no more than this much memory.
_COST, _BLOCK, _LANES = 65536, 8, 1
_LARGEST_MEMORY = 512 << 20
_KEY_BYTES = 32


class _Parameters(msgspec.Struct, frozen=True):
    N: int
    r: int
    p: int


class _Derivation(msgspec.Struct, frozen=True):
    name: str
    params: _Parameters
    salt: str


class _Cipher(msgspec.Struct, frozen=True):
    name: str
    nonce: str


class _EncryptedKey(msgspec.Struct, frozen=True):
    kdf: _Derivation
    cipher: _Cipher
    ciphertext: str


def decrypt(document: bytes, password: SecretBytes, called: str) -> SecretBytes:
    """The key in PKCS #8 (DER). Raises PolyarchError for a wrong password, CorruptError for a damaged document."""
    with required("sign", "an encrypted key"):
        from nacl.exceptions import CryptoError
        from nacl.secret import SecretBox
    try:
        nesting.check(document, called)
        read = msgspec.json.decode(document, type=_EncryptedKey)
        salt, nonce, ciphertext = map(_bytes, (read.kdf.salt, read.cipher.nonce, read.ciphertext))
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error) as error:
        raise CorruptError(f"{called} is not a valid encrypted key: {error}", "restore it from a backup") from None
    if (read.kdf.name, read.cipher.name) != ("scrypt", "nacl/secretbox"):
        raise CorruptError(
            f"{called} is encrypted with {read.kdf.name} and {read.cipher.name}",
            "cosign writes keys with scrypt and nacl/secretbox, and no others are known",
        )
    try:
        return SecretBytes(SecretBox(_derived(password, salt, read.kdf.params)).decrypt(ciphertext, nonce))
    except (ValueError, TypeError, OverflowError):
        # A nonce or a ciphertext of an impossible length, or parameters that scrypt does not allow.
        raise CorruptError(f"{called} is not a valid encrypted key", "restore it from a backup") from None
    except CryptoError:
        raise PolyarchError(f"{called} cannot be decrypted: the password is wrong", "see COSIGN_PASSWORD") from None


def encrypt(key: SecretBytes, password: SecretBytes) -> bytes:
    """The JSON document of a key in PKCS #8 (DER), as cosign writes it."""
    with required("sign", "an encrypted key"):
        from nacl.secret import SecretBox
    salt, nonce = os.urandom(32), os.urandom(SecretBox.NONCE_SIZE)
    parameters = _Parameters(_COST, _BLOCK, _LANES)
    sealed = SecretBox(_derived(password, salt, parameters)).encrypt(bytes(key), nonce).ciphertext
    return msgspec.json.encode(
        _EncryptedKey(
            _Derivation("scrypt", parameters, _text(salt)), _Cipher("nacl/secretbox", _text(nonce)), _text(sealed)
        )
    )


def _derived(password: SecretBytes, salt: bytes, parameters: _Parameters) -> bytes:
    memory = 128 * parameters.N * parameters.r
    if memory > _LARGEST_MEMORY or not 1 <= parameters.p <= 16:
        raise ValueError("the parameters of scrypt need too much memory or time")
    return hashlib.scrypt(
        bytes(password),
        salt=salt,
        n=parameters.N,
        r=parameters.r,
        p=parameters.p,
        # OpenSSL counts some more than the table itself.
        maxmem=memory + (1 << 20) + 128 * parameters.r * parameters.p,
        dklen=_KEY_BYTES,
    )


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
