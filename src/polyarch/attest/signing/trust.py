"""Whose signatures count: those of a key. (Those of an identity are in keyless.py.)"""

from typing import Protocol

import msgspec

from polyarch.attest.signing import envelope as envelopes
from polyarch.attest.signing.envelope import SigstoreBundle
from polyarch.attest.signing.keys import PublicKey
from polyarch.attest.signing.simple import SimpleSignature


class RejectedError(Exception):
    """A signature does not count. The text is the reason, for the user."""


class Signer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who signed: the fingerprint of a key, or an identity and who vouches for it."""

    key: str = ""
    identity: str = ""
    issuer: str = ""

    def __str__(self) -> str:
        return f"the key {self.key}" if self.key else f"{self.identity} (issuer {self.issuer})"


class Trust(Protocol):
    """Decides whether a signature is of a trusted signer. It says nothing about what was signed."""

    def of_bundle(self, bundle: SigstoreBundle) -> Signer:
        """Who signed the bundle's payload. Raises RejectedError."""

    def of_simple(self, signature: SimpleSignature) -> Signer:
        """Who signed the document. Raises RejectedError."""


class KeyTrust:
    """Trust in the owner of a key. Entries of transparency logs and timestamps are not looked at."""

    def __init__(self, key: PublicKey) -> None:
        self._key = key
        self._signer = Signer(key=key.fingerprint)

    def of_bundle(self, bundle: SigstoreBundle) -> Signer:
        """Implements Trust."""
        if self._key.verifies(bundle.envelope.signature, bundle.envelope.signed):
            if bundle.envelope.payload_type != envelopes.STATEMENT:
                raise RejectedError(f"it signs {bundle.envelope.payload_type!r}, not a statement")
            return self._signer
        if bundle.certified:
            raise RejectedError("it was made with a certificate: verify it with --certificate-identity")
        if bundle.hint and bundle.hint != self._key.hint:
            raise RejectedError(f"it was made with another key (SHA256:{bundle.hint})")
        raise RejectedError("the signature is wrong: its contents were changed, or another key made it")

    def of_simple(self, signature: SimpleSignature) -> Signer:
        """Implements Trust."""
        if self._key.verifies(signature.signature, signature.payload):
            return self._signer
        if signature.certified:
            raise RejectedError("it was made with a certificate: verify it with --certificate-identity")
        raise RejectedError("it was made with another key, or its contents were changed")
