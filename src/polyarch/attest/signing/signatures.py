"""Find the signatures of an image, and say which of them hold."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, Protocol

import msgspec

from polyarch.attest.signing import envelope as envelopes
from polyarch.attest.signing import simple
from polyarch.attest.signing.trust import RejectedError, Signer, Trust
from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci import document as documents
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Manifest
from polyarch.oci.place import BlobReader

# What cosign reads at most of one image; and a statement may have a large SBOM in it.
_MOST = 1000
_LARGEST = 40 << 20
_LONGEST_REASON = 300


class Signed(Protocol):
    """A place, as far as signatures are concerned."""

    def read_manifest(self, descriptor: Descriptor) -> bytes: ...
    def open_blob(self, descriptor: Descriptor) -> BlobReader: ...
    def carriers(self, digest: Digest) -> Iterable[Descriptor]:
        """The manifests that refer to an image, and the one with cosign's tag for it."""


class ImageSignature(msgspec.Struct, frozen=True, kw_only=True):
    """A signature that holds.

    `digest` is what was signed, `artifact` the digest of the manifest that carries the signature. `form` is bundle, or
    simple for those of cosign before version 3. A `predicate` other than that of a signature makes it an attestation.
    """

    digest: Digest
    artifact: Digest
    form: Literal["bundle", "simple"]
    signer: Signer
    predicate_type: str = envelopes.SIGNATURE
    predicate: Any = None
    annotations: Mapping[str, Any] = {}


class RejectedSignature(msgspec.Struct, frozen=True):
    """A signature that does not hold: the digest of the manifest that carries it, and why."""

    artifact: Digest
    reason: str


class FoundSignatures(msgspec.Struct, frozen=True):
    """The signatures of one image."""

    held: tuple[ImageSignature, ...]
    rejected: tuple[RejectedSignature, ...]


class _Candidate(msgspec.Struct, frozen=True):
    artifact: Digest
    layer: Descriptor


def find(
    place: Signed, digest: Digest, trust: Trust, annotations: Mapping[str, str], predicate_type: str
) -> FoundSignatures:
    """The signatures of an image that `trust` accepts, with these annotations and this predicate.

    Raises RegistryError. Whatever is wrong with one signature is a reason to reject it.
    """
    held: list[ImageSignature] = []
    rejected: list[RejectedSignature] = []
    for descriptor in place.carriers(digest):
        if len(held) + len(rejected) >= _MOST:
            rejected.append(RejectedSignature(descriptor.digest, f"only {_MOST} signatures of an image are read"))
            break
        try:
            for candidate in _candidates(place, descriptor):
                try:
                    held.append(_judged(place, candidate, digest, trust, annotations, predicate_type))
                except (RejectedError, CorruptError, NotFoundError) as error:
                    rejected.append(RejectedSignature(candidate.artifact, _reason(error)))
        except (CorruptError, NotFoundError) as error:
            rejected.append(RejectedSignature(descriptor.digest, _reason(error)))
    return FoundSignatures(tuple(held), tuple(rejected))


def _candidates(place: Signed, descriptor: Descriptor) -> Iterator[_Candidate]:
    """The layers of a manifest that are signatures. A bundle is the only layer of its manifest."""
    manifest = documents.load(place.read_manifest(descriptor), descriptor.media_type)
    if not isinstance(manifest, Manifest):
        return
    kinds = [layer.media_type for layer in manifest.layers]
    if len(kinds) > _MOST:
        raise CorruptError(f"it has {len(kinds)} layers; {_MOST} are allowed")
    for layer in manifest.layers:
        if layer.media_type == simple.LAYER or (layer.media_type.startswith(envelopes.BUNDLES) and len(kinds) == 1):
            yield _Candidate(descriptor.digest, layer)


def _judged(
    place: Signed,
    candidate: _Candidate,
    digest: Digest,
    trust: Trust,
    annotations: Mapping[str, str],
    predicate_type: str,
) -> ImageSignature:
    if candidate.layer.size > _LARGEST:
        raise RejectedError(f"it has {candidate.layer.size} bytes; {_LARGEST} are allowed")
    with place.open_blob(candidate.layer) as reader:
        content = reader.read()
    if candidate.layer.media_type == simple.LAYER:
        found = _simple(candidate, content, digest, trust)
    else:
        found = _bundle(candidate, content, digest, trust)
    if found.predicate_type != predicate_type:
        raise RejectedError(f"it is {_called(found.predicate_type)}, not {_called(predicate_type)}")
    for key, value in annotations.items():
        if found.annotations.get(key) != value:
            raise RejectedError(f"its annotation {key} is {found.annotations.get(key)!r}, not {value!r}")
    return found


def _bundle(candidate: _Candidate, content: bytes, digest: Digest, trust: Trust) -> ImageSignature:
    bundle = envelopes.decode_bundle(content)
    signer = trust.of_bundle(bundle)
    # Only now is it known that a trusted signer wrote the payload.
    statement = envelopes.decode_statement(bundle.envelope.payload)
    subject = statement.about(digest)
    if subject is None:
        raise RejectedError(f"it is of another image ({_subjects(statement)})")
    return ImageSignature(
        digest=digest,
        artifact=candidate.artifact,
        form="bundle",
        signer=signer,
        predicate_type=statement.predicate_type,
        predicate=statement.predicate,
        annotations=subject.annotations,
    )


def _simple(candidate: _Candidate, content: bytes, digest: Digest, trust: Trust) -> ImageSignature:
    signature = simple.decode(candidate.layer, content)
    signer = trust.of_simple(signature)
    if signature.digest != digest:
        raise RejectedError(f"it is of another image ({signature.digest})")
    return ImageSignature(
        digest=digest, artifact=candidate.artifact, form="simple", signer=signer, annotations=signature.annotations
    )


def _reason(error: Exception) -> str:
    """The text of an error in one line. It may have parts of the signature, which are from outside."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(error))
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"


def _subjects(statement: envelopes.SignedStatement) -> str:
    first = statement.subjects[0].digest if statement.subjects else {}
    shown = ", ".join(f"{algorithm}:{encoded}" for algorithm, encoded in first.items()) or "without a digest"
    more = len(statement.subjects) - 1
    return f"{shown} and {more} more" if more > 0 else shown


def _called(predicate_type: str) -> str:
    return "a signature" if predicate_type == envelopes.SIGNATURE else f"an attestation of the type {predicate_type}"


def may_be_signature(entry: Descriptor) -> bool:
    """Whether an entry of a list of referrers may be a signature. Some lists have no types of artifacts."""
    kind = entry.artifact_type
    return (
        not kind
        or kind.startswith(envelopes.BUNDLES)
        or kind == simple.ARTIFACT
        or kind in (media_types.OCI_CONFIG, "application/vnd.oci.empty.v1+json")
    )
