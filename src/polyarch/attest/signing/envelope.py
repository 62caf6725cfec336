"""Signed statements: an in-toto statement in a DSSE envelope in a Sigstore bundle, as cosign attaches them to images.

in-toto attestation framework (Statement v1), DSSE v1, protobuf-specs (sigstore_bundle.proto, as JSON), and cosign's
BUNDLE_SPEC.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

from polyarch.errors import CorruptError
from polyarch.oci import digest as digests
from polyarch.oci import nesting
from polyarch.oci.digest import Digest

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
# Older bundles have their version in a parameter: application/vnd.dev.sigstore.bundle+json;version=0.2
BUNDLES = "application/vnd.dev.sigstore.bundle"
# Annotations of the manifest that carries a bundle.
BUNDLE_CONTENT, BUNDLE_PREDICATE = "dev.sigstore.bundle.content", "dev.sigstore.bundle.predicateType"
STATEMENT = "application/vnd.in-toto+json"
# The predicate of a signature that says nothing besides.
SIGNATURE = "https://sigstore.dev/cosign/sign/v1"

_STATEMENT_TYPES = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
# sigstore-go's limit.
_MOST_SUBJECTS = 1024


class SignedSubject(msgspec.Struct, frozen=True):
    """What a statement is about."""

    digest: Mapping[str, str]
    annotations: Mapping[str, Any] | None = None


class SignedStatement(msgspec.Struct, frozen=True):
    """A claim about subjects."""

    subjects: tuple[SignedSubject, ...]
    predicate_type: str
    predicate: Any = None

    def about(self, digest: Digest) -> SignedSubject | None:
        """The subject with this digest."""
        algorithm, encoded = digests.algorithm(digest), digests.encoded(digest)
        return next((one for one in self.subjects if one.digest.get(algorithm) == encoded), None)


class DsseEnvelope(msgspec.Struct, frozen=True):
    """A DSSE envelope with one signature."""

    payload: bytes
    payload_type: str
    signature: bytes

    @property
    def signed(self) -> bytes:
        """The bytes that the signature is of."""
        return pre_authentication_encoding(self.payload_type, self.payload)


class SigstoreBundle(msgspec.Struct, frozen=True):
    """A Sigstore bundle of an envelope.

    `hint` names the public key, and is empty if the bundle has a certificate. `raw` is the JSON.
    """

    envelope: DsseEnvelope
    hint: str
    certified: bool
    raw: bytes


def encode_statement(digest: Digest, predicate_type: str, predicate: Any, annotations: Mapping[str, str]) -> bytes:
    """The statement about an image.

    The name of the subject is its digest: an image can be copied to another name, and Sigstore's Python library signs
    no statement about something without a name.
    """
    subject: dict[str, Any] = {"name": str(digest), "digest": {digests.algorithm(digest): digests.encoded(digest)}}
    if annotations:
        subject["annotations"] = dict(annotations)
    return msgspec.json.encode(
        {
            "_type": _STATEMENT_TYPES[0],
            "subject": [subject],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )


def decode_statement(payload: bytes) -> SignedStatement:
    """Raises CorruptError."""

    class Read(msgspec.Struct, frozen=True, rename={"kind": "_type", "predicate_type": "predicateType"}):
        kind: str
        predicate_type: str
        subject: tuple[SignedSubject, ...]
        predicate: Any = None

    try:
        nesting.check(payload, "its payload")
        read = msgspec.json.decode(payload, type=Read)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(f"its payload is not a statement: {error}") from None
    if read.kind not in _STATEMENT_TYPES:
        raise CorruptError(f"its payload is a statement of the unknown type {read.kind!r}")
    if len(read.subject) > _MOST_SUBJECTS:
        raise CorruptError(f"its statement has {len(read.subject)} subjects; {_MOST_SUBJECTS} are allowed")
    return SignedStatement(read.subject, read.predicate_type, read.predicate)


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """What DSSE signs (PAE)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def encode_bundle(envelope: DsseEnvelope, hint: str) -> bytes:
    """The JSON of a bundle that a key signed. There is no entry of a transparency log in it."""
    return msgspec.json.encode(
        {
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": hint}},
            "dsseEnvelope": {
                "payload": _text(envelope.payload),
                "payloadType": envelope.payload_type,
                "signatures": [{"sig": _text(envelope.signature)}],
            },
        }
    )


class _Signature(msgspec.Struct, frozen=True):
    sig: str


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    payload: str
    payload_type: str
    signatures: tuple[_Signature, ...]


class _Hint(msgspec.Struct, frozen=True):
    hint: str = ""


class _Material(msgspec.Struct, frozen=True, rename="camel"):
    public_key: _Hint | None = None
    certificate: Any = None
    # msgspec's camel case has no "x509CertificateChain".
    chain: Any = msgspec.field(name="x509CertificateChain", default=None)


class _Bundle(msgspec.Struct, frozen=True, rename="camel"):
    media_type: str
    verification_material: _Material
    dsse_envelope: _Envelope | None = None
    message_signature: Any = None


def decode_bundle(raw: bytes) -> SigstoreBundle:
    """Raises CorruptError for what is not a bundle of an envelope with one signature."""
    try:
        nesting.check(raw, "the bundle")
        read = msgspec.json.decode(raw, type=_Bundle)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(f"it is not a Sigstore bundle: {error}") from None
    if not read.media_type.startswith(BUNDLES):
        raise CorruptError(f"it is not a Sigstore bundle, but {read.media_type!r}")
    if read.dsse_envelope is None:
        what = "a signature without a statement" if read.message_signature is not None else "no signature"
        raise CorruptError(f"the bundle has {what}")
    if len(read.dsse_envelope.signatures) != 1:
        raise CorruptError(f"the bundle has {len(read.dsse_envelope.signatures)} signatures; it must have one")
    try:
        envelope = DsseEnvelope(
            payload=_bytes(read.dsse_envelope.payload),
            payload_type=read.dsse_envelope.payload_type,
            signature=_bytes(read.dsse_envelope.signatures[0].sig),
        )
    except binascii.Error:
        raise CorruptError("the bundle has invalid base64") from None
    material = read.verification_material
    certified = material.certificate is not None or material.chain is not None
    return SigstoreBundle(envelope, material.public_key.hint if material.public_key else "", certified, raw)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    # protobuf's JSON may use either alphabet, with or without padding.
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
