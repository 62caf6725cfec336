"""The arguments of `Polyarch.images.sign` and `verify`, turned into how to sign and whom to trust."""

from pathlib import Path
from typing import TYPE_CHECKING

from polyarch.client import arguments
from polyarch.client.arguments import StrPath
from polyarch.client.core import ClientCore
from polyarch.errors import UsageError
from polyarch.secret import SecretBytes

if TYPE_CHECKING:
    from polyarch.attest.signing.sign import Signing
    from polyarch.attest.signing.trust import Trust


def signing(
    core: ClientCore,
    key: StrPath | bytes | None,
    password: str | bytes,
    token: str | None,
    trusted_root: StrPath | None,
    signing_config: StrPath | None,
) -> "Signing":
    """How to sign: with a key, or with an identity."""
    from polyarch.attest.signing import keyless, keys
    from polyarch.attest.signing import sign as signs

    if key is not None:
        if token is not None or trusted_root is not None or signing_config is not None:
            raise UsageError("key cannot be combined with identity_token, trusted_root or signing_config", "use one")
        content, called = _key(core, key)
        secret = SecretBytes(password.encode() if isinstance(password, str) else _bytes("password", password))
        return signs.with_key(keys.load_private(content, called, lambda: secret))
    if token is None:
        raise UsageError("sign needs a key or an identity_token", "give key=FILE, or identity_token=TOKEN")
    given = SecretBytes(_text("identity_token", token).encode())
    services = keyless.SigstoreServices(
        trusted_root=_path(core, "trusted_root", trusted_root),
        signing_config=_path(core, "signing_config", signing_config),
    )
    return lambda statements: keyless.sign(statements, given, services)


def trust(
    core: ClientCore,
    key: StrPath | bytes | None,
    identity: str,
    issuer: str,
    identity_regexp: str,
    issuer_regexp: str,
    trusted_root: StrPath | None,
) -> "Trust":
    """Whose signatures count."""
    from polyarch.attest.signing import keyless, keys
    from polyarch.attest.signing.trust import KeyTrust

    texts = {
        "identity": arguments.text("identity", identity),
        "issuer": arguments.text("issuer", issuer),
        "identity_regexp": arguments.text("identity_regexp", identity_regexp),
        "issuer_regexp": arguments.text("issuer_regexp", issuer_regexp),
    }
    if key is not None:
        if any(texts.values()) or trusted_root is not None:
            raise UsageError("key cannot be combined with an identity, an issuer or a trusted_root", "use one of them")
        content, called = _key(core, key)
        return KeyTrust(keys.load_public(bytes(content), called))
    expected = keyless.ExpectedIdentity(**texts)
    return keyless.IdentityTrust(
        expected, keyless.SigstoreServices(trusted_root=_path(core, "trusted_root", trusted_root))
    )


def _key(core: ClientCore, key: StrPath | bytes) -> tuple[SecretBytes, str]:
    """The content of a key in PEM, and what messages call it."""
    if isinstance(key, bytes):
        return SecretBytes(key), "the key"
    path = arguments.path("key", key, core.directory)
    try:
        return SecretBytes(path.read_bytes()), str(path)
    except OSError as error:
        raise UsageError(f"the key {path} cannot be read: {error.strerror}", "check the path") from None


def _path(core: ClientCore, name: str, path: StrPath | None) -> Path | None:
    return None if path is None else arguments.path(name, path, core.directory)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        arguments.refuse(name, value, "a str", secret=True)
    return value


def _bytes(name: str, value: object) -> bytes:
    if not isinstance(value, bytes):
        arguments.refuse(name, value, "a str or bytes", secret=True)
    return value
