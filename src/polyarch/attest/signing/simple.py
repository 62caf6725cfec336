"""cosign's older signatures: a "simple signing" document as the layer of a manifest with the tag `sha256-….sig`.

The signature is in an annotation of the layer (cosign, SIGNATURE_SPEC).
"""

import base64
from typing import Any

import msgspec

from polyarch.errors import CorruptError
from polyarch.oci import digest as digests
from polyarch.oci import nesting
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest

LAYER = "application/vnd.dev.cosign.simplesigning.v1+json"
# What `cosign sign --registry-referrers-mode=oci-1-1` made before there were bundles.
ARTIFACT = "application/vnd.dev.cosign.artifact.sig.v1+json"

_SIGNATURE = "dev.cosignproject.cosign/signature"
_CERTIFICATE = "dev.sigstore.cosign/certificate"


class SimpleSignature(msgspec.Struct, frozen=True):
    """A signed document. `certified` says that a certificate belongs to it."""

    payload: bytes
    signature: bytes
    certified: bool


class SimpleClaim(msgspec.Struct, frozen=True):
    """What a document says: the digest of an image, and annotations."""

    digest: str
    annotations: dict[str, Any]


class _ClaimedImage(msgspec.Struct, frozen=True, rename="kebab"):
    docker_manifest_digest: str


class _CriticalClaim(msgspec.Struct, frozen=True):
    image: _ClaimedImage


class _SignedDocument(msgspec.Struct, frozen=True):
    critical: _CriticalClaim
    optional: dict[str, Any] | None = None


def tag(digest: Digest) -> str:
    """The tag under which cosign keeps the signatures of an image."""
    return f"{digests.algorithm(digest)}-{digests.encoded(digest)}.sig"


def decode(layer: Descriptor, payload: bytes) -> SimpleSignature:
    """The signature in a layer. Raises CorruptError."""
    text = layer.annotations.get(_SIGNATURE)
    if not text:
        raise CorruptError("it has no signature")
    try:
        signature = base64.b64decode(text, validate=True)
    except ValueError:
        raise CorruptError("its signature has invalid base64") from None
    return SimpleSignature(payload, signature, bool(layer.annotations.get(_CERTIFICATE)))


def decode_claim(payload: bytes) -> SimpleClaim:
    """What a document says. Raises CorruptError."""
    try:
        nesting.check(payload, "a signed document")
        document = msgspec.json.decode(payload, type=_SignedDocument)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(f"it is not a signed document of cosign: {error}") from None
    return SimpleClaim(document.critical.image.docker_manifest_digest, document.optional or {})
