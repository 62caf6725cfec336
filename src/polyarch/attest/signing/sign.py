"""`sign` and `attest`: make statements about an image, sign them, and attach them to it."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from polyarch.attest.signing import envelope as envelopes
from polyarch.attest.signing import places as signing_places
from polyarch.attest.signing.envelope import DsseEnvelope
from polyarch.attest.signing.keys import PrivateKey
from polyarch.errors import UsageError
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform
from polyarch.transfer.locate import Places

# Statements → their bundles, as JSON.
Signing = Callable[[Sequence[bytes]], tuple[bytes, ...]]

_CREATED = "org.opencontainers.image.created"


class SignOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to sign, and what to say.

    `recursive` also signs each image of an index. `annotations` are part of what is signed. `created` is a time in
    RFC 3339. A `predicate` makes an attestation: `predicate_type` is its URI.
    """

    recursive: bool = False
    annotations: Mapping[str, str] = {}
    created: str
    predicate_type: str = envelopes.SIGNATURE
    predicate: Any = {}


class SignedImage(msgspec.Struct, frozen=True, kw_only=True):
    """What was signed: the digest of an image or index, the digest of the new manifest, and where both are.

    `platform` is that of an entry of an index.
    """

    name: str
    digest: Digest
    artifact: Digest
    where: str
    platform: Platform | None = None


def sign(places: Places, text: str, signing: Signing, options: SignOptions) -> tuple[SignedImage, ...]:
    """Sign the image that `text` names, where it is: in the store, or else in its registry.

    Raises NotFoundError, UsageError, RegistryError, and what `signing` raises. Nothing is written if signing fails.
    """
    with signing_places.opened(text, places) as place:
        subjects = [place.root, *(place.members() if options.recursive else ())]
        statements = [
            envelopes.encode_statement(subject.digest, options.predicate_type, options.predicate, options.annotations)
            for subject in subjects
        ]
        bundles = signing(statements)
        annotations = {
            _CREATED: options.created,
            envelopes.BUNDLE_CONTENT: "dsse-envelope",
            envelopes.BUNDLE_PREDICATE: options.predicate_type,
        }
        return tuple(
            SignedImage(
                name=place.called,
                digest=subject.digest,
                artifact=place.attach(subject, envelopes.BUNDLE, bundle, annotations),
                where=place.where,
                platform=subject.platform,
            )
            for subject, bundle in zip(subjects, bundles, strict=True)
        )


def with_key(key: PrivateKey) -> Signing:
    """Sign with a key. Nothing is sent to any service."""

    def bundle(statement: bytes) -> bytes:
        unsigned = DsseEnvelope(statement, envelopes.STATEMENT, b"")
        signed = DsseEnvelope(statement, envelopes.STATEMENT, key.sign(unsigned.signed))
        return envelopes.encode_bundle(signed, key.public.hint)

    return lambda statements: tuple(map(bundle, statements))


# cosign's short names of predicates.
PREDICATES = {
    "custom": "https://cosign.sigstore.dev/attestation/v1",
    "cyclonedx": "https://cyclonedx.org/bom",
    "link": "https://in-toto.io/Link/v1",
    "openvex": "https://openvex.dev/ns",
    "signature": envelopes.SIGNATURE,
    "slsaprovenance": "https://slsa.dev/provenance/v0.2",
    "slsaprovenance02": "https://slsa.dev/provenance/v0.2",
    "slsaprovenance1": "https://slsa.dev/provenance/v1",
    "spdx": "https://spdx.dev/Document",
    "spdxjson": "https://spdx.dev/Document",
    "vuln": "https://cosign.sigstore.dev/attestation/vuln/v1",
}


def predicate_type(text: str) -> str:
    """The URI of a short name, or the URI itself. Raises UsageError."""
    if text in PREDICATES:
        return PREDICATES[text]
    if "://" not in text:
        raise UsageError(f"{text!r} is not a type of attestation", f"give a URI, or one of: {', '.join(PREDICATES)}")
    return text


def timestamp(seconds: float) -> str:
    """A time in seconds since 1970 in RFC 3339."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def annotations(texts: Sequence[str]) -> dict[str, str]:
    """The annotations in `KEY=VALUE`s. Raises UsageError."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"{text!r} is not an annotation", "write KEY=VALUE")
        found[key] = value
    return found
