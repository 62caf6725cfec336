"""What is attached to an image: provenance, bills of materials, signatures, and whatever else refers to it."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from polyarch.errors import CorruptError, NotFoundError, PolyarchError
from polyarch.indexes import attestations, materials, statements
from polyarch.indexes.attestations import Attestation
from polyarch.oci import media_types
from polyarch.oci.attestation import CYCLONEDX, PREDICATE_TYPE, PROVENANCE, SPDX
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.place import Source
from polyarch.oci.redaction import without_credentials

Kind = Literal["provenance", "sbom", "signature", "attestation", "artifact"]
# Provenances are some kB; an SBOM of 40 MB is not read to show that it is there.
_LARGEST_PROVENANCE = 4 << 20
_MOST_MATERIALS = 50
# In bytes: an index of some 500 entries.
LARGEST_INDEX = 256 << 10
_SIGNATURES = (
    "application/vnd.dev.cosign.",
    "application/vnd.dev.sigstore.bundle",
    "application/vnd.cncf.notary.signature",
)


class ProvenanceSummary(msgspec.Struct, frozen=True, kw_only=True):
    """How an image was built, as its provenance claims. `materials` are (URI, digest); texts are empty if not said."""

    build_type: str
    builder: str = ""
    begun: str = ""
    ended: str = ""
    materials: tuple[tuple[str, str], ...] = ()
    more: int = 0


class AttachedArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """Something about an image.

    An attestation may have statements of several `kinds`. `platform` is empty if it is about the index. `types` are
    artifact and predicate types, `signatures` the number of signatures of it, `problem` why it cannot be read.
    """

    kinds: tuple[Kind, ...]
    platform: str
    image: Digest
    descriptor: Descriptor
    types: tuple[str, ...]
    signatures: int = 0
    problem: str = ""
    provenance: ProvenanceSummary | None = None


def find(source: Source, root: Descriptor) -> tuple[AttachedArtifact, ...]:
    """Everything about the images below `root`, in their order, then what is about the index itself.

    Empty for an index of a size that no builder makes.
    """
    if root.media_type in media_types.INDEXES and root.size > LARGEST_INDEX:
        return ()
    try:
        found = attestations.find(source, root)
    except PolyarchError:
        return ()  # the findings say what is wrong with the index
    return tuple(_artifact(source, one) for one in found)


def bills(source: Source, found: Iterable[Attestation]) -> Mapping[Digest, Descriptor]:
    """The first SPDX document about each image, by the digest of the image."""
    listed: dict[Digest, Descriptor] = {}
    for one in found:
        for layer in statements.layers_of(one.manifest, SPDX) if one.manifest is not None else ():
            listed.setdefault(one.image.digest, layer)
    return listed


def _artifact(source: Source, one: Attestation) -> AttachedArtifact:
    manifest = one.manifest
    predicates = tuple(
        dict.fromkeys(kind for layer in one.statements if (kind := layer.annotations.get(PREDICATE_TYPE, "")))
    )
    own = (
        (manifest.artifact_type or manifest.config.media_type) if manifest is not None else one.descriptor.artifact_type
    )
    kinds = _kinds(one, own, predicates)
    provenance, problem = None, one.problem
    if "provenance" in kinds and manifest is not None:
        try:
            provenance = _provenance(source, statements.layers_of(manifest, PROVENANCE)[:1])
        except (CorruptError, NotFoundError) as error:
            problem = error.message
    return AttachedArtifact(
        kinds=kinds,
        platform=str(one.platform) if one.platform is not None else "",
        image=one.image.digest,
        descriptor=one.descriptor,
        types=predicates or ((own,) if own else ()),
        signatures=sum(_is_signature(about.artifact_type) for about in one.about),
        problem=problem,
        provenance=provenance,
    )


def _kinds(one: Attestation, own: str, predicates: tuple[str, ...]) -> tuple[Kind, ...]:
    kinds: list[Kind] = []
    if any(kind.startswith(PROVENANCE) for kind in predicates):
        kinds.append("provenance")
    if any(kind.startswith((SPDX, CYCLONEDX)) for kind in predicates):
        kinds.append("sbom")
    if not kinds:
        kinds.append("signature" if _is_signature(own) else "attestation" if one.is_attestation else "artifact")
    return tuple(kinds)


def _is_signature(kind: str) -> bool:
    return kind.startswith(_SIGNATURES)


def _provenance(source: Source, layers: tuple[Descriptor, ...]) -> ProvenanceSummary | None:
    if not layers or layers[0].size > _LARGEST_PROVENANCE:
        return None
    statement = statements.read(source, layers[0])
    claims = materials.provenance(statement)
    predicate = statements.predicate(statement)
    details = _object(predicate, "runDetails") or _object(predicate)
    metadata = _object(details, "metadata")
    listed = claims.materials[:_MOST_MATERIALS]
    return ProvenanceSummary(
        build_type=claims.build_type,
        builder=_text(_object(details, "builder").get("id")),
        begun=_text(metadata.get("startedOn") or metadata.get("buildStartedOn")),
        ended=_text(metadata.get("finishedOn") or metadata.get("buildFinishedOn")),
        # A URL may have a password or a token in it.
        materials=tuple((without_credentials(one.uri), _digest(one.digest)) for one in listed),
        more=len(claims.materials) - len(listed),
    )


def _object(value: Any, *names: str) -> Mapping[str, Any]:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _digest(digests: Mapping[str, str]) -> str:
    return next((f"{algorithm}:{encoded}" for algorithm, encoded in digests.items()), "")
