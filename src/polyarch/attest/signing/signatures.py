"""Find the signatures of an image, and say which of them hold."""

from collections.abc import Iterable, Mapping
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

# As many as cosign reads of one image. A statement may have a large SBOM in it.
_MOST = 1000
_LARGEST = 40 << 20
_LARGEST_SUM = 400 << 20
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


def find(
    place: Signed, digest: Digest, trust: Trust, annotations: Mapping[str, str], predicate_type: str
) -> FoundSignatures:
    """The signatures of an image that `trust` accepts, with these annotations and this predicate.

    Raises RegistryError. Whatever is wrong with one signature is a reason to reject it.
    """
    search = _SignatureSearch(place, digest, trust, annotations, predicate_type)
    for number, descriptor in enumerate(place.carriers(digest)):
        if number >= _MOST:
            search.reject(descriptor.digest, f"only {_MOST} manifests about an image are read")
            break
        try:
            search.read(descriptor)
        except (RejectedError, CorruptError, NotFoundError) as error:
            search.reject(descriptor.digest, str(error))
    return FoundSignatures(tuple(search.held), tuple(search.rejected))


class _SignatureSearch:
    """What was found so far of one image."""

    def __init__(
        self, place: Signed, digest: Digest, trust: Trust, annotations: Mapping[str, str], predicate_type: str
    ) -> None:
        self._place = place
        self._digest = digest
        self._trust = trust
        self._annotations = annotations
        self._predicate_type = predicate_type
        self._bytes = 0
        self.held: list[ImageSignature] = []
        self.rejected: list[RejectedSignature] = []

    def reject(self, artifact: Digest, reason: str) -> None:
        """Note a signature that does not hold. The reason may have parts of it, so it is made a line of plain text."""
        text = "".join(letter if letter.isprintable() else " " for letter in reason)
        text = " ".join(text.split())
        shown = text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"
        self.rejected.append(RejectedSignature(artifact, shown))

    def read(self, descriptor: Descriptor) -> None:
        """Judge the layers of a manifest that are signatures. A bundle is the only layer of its manifest."""
        # A large attestation is not read to find out that it is not a signature.
        self._require_type(descriptor.annotations.get(envelopes.BUNDLE_PREDICATE, self._predicate_type))
        manifest = documents.load(self._place.read_manifest(descriptor), descriptor.media_type)
        layers = manifest.layers if isinstance(manifest, Manifest) else ()
        if len(layers) > _MOST:
            raise CorruptError(f"it has {len(layers)} layers; {_MOST} are allowed")
        for layer in layers:
            if layer.media_type != simple.LAYER and not (_is_bundle(layer) and len(layers) == 1):
                continue
            try:
                self.held.append(self._judged(descriptor.digest, layer))
            except (RejectedError, CorruptError, NotFoundError) as error:
                self.reject(descriptor.digest, str(error))

    def _judged(self, artifact: Digest, layer: Descriptor) -> ImageSignature:
        self._bytes += layer.size
        if layer.size > _LARGEST or self._bytes > _LARGEST_SUM:
            raise RejectedError(f"it has {layer.size} bytes; {_LARGEST} are read, and {_LARGEST_SUM} of all signatures")
        with self._place.open_blob(layer) as reader:
            content = reader.read()
        judge = _simple if layer.media_type == simple.LAYER else _bundle
        found = judge(artifact, layer, content, self._digest, self._trust)
        self._require_type(found.predicate_type)
        for key, value in self._annotations.items():
            if found.annotations.get(key) != value:
                raise RejectedError(f"its annotation {key} is {found.annotations.get(key)!r}, not {value!r}")
        return found

    def _require_type(self, predicate_type: str) -> None:
        if predicate_type != self._predicate_type:
            raise RejectedError(f"it is {_called(predicate_type)}, not {_called(self._predicate_type)}")


def _bundle(artifact: Digest, layer: Descriptor, content: bytes, digest: Digest, trust: Trust) -> ImageSignature:
    bundle = envelopes.decode_bundle(content)
    signer = trust.of_bundle(bundle)
    # Only now is it known that a trusted signer wrote the payload.
    statement = envelopes.decode_statement(bundle.envelope.payload)
    subject = statement.about(digest)
    if subject is None:
        raise RejectedError(f"it is of another image ({_subjects(statement)})")
    return ImageSignature(
        digest=digest,
        artifact=artifact,
        form="bundle",
        signer=signer,
        predicate_type=statement.predicate_type,
        predicate=statement.predicate,
        annotations=subject.annotations or {},
    )


def _simple(artifact: Digest, layer: Descriptor, content: bytes, digest: Digest, trust: Trust) -> ImageSignature:
    signature = simple.decode(layer, content)
    signer = trust.of_simple(signature)
    claim = simple.decode_claim(signature.payload)
    if claim.digest != digest:
        raise RejectedError(f"it is of another image ({claim.digest})")
    return ImageSignature(digest=digest, artifact=artifact, form="simple", signer=signer, annotations=claim.annotations)


def _is_bundle(layer: Descriptor) -> bool:
    return layer.media_type.startswith(envelopes.BUNDLES)


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
