"""What a provenance says that an image was made from: images, git repositories, files of the web; and its layers.

SLSA calls them materials (v0.2) or resolved dependencies (v1). BuildKit's predicates have both forms.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from polyarch.errors import CorruptError, NotFoundError
from polyarch.indexes.statements import RawStatement
from polyarch.oci import digest as digests
from polyarch.oci import image_purl
from polyarch.oci.digest import Digest
from polyarch.oci.image_purl import ImageUrl

if TYPE_CHECKING:
    from polyarch.registry import Registry

_IMAGE = ("pkg:docker/", "pkg:oci/")


class ClaimedMaterial(msgspec.Struct, frozen=True):
    """One thing that went into a build: its URI, and digests by algorithm."""

    uri: str = ""
    digest: dict[str, str] = {}


class ClaimedLayer(msgspec.Struct, frozen=True):
    """A layer in a provenance. `size` is -1 if it is not said."""

    digest: str
    size: int = -1


class ProvenanceClaims(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a provenance that can be compared with an image. `layers` are those that its steps made."""

    build_type: str
    materials: tuple[ClaimedMaterial, ...]
    layers: tuple[ClaimedLayer, ...] = ()


class _Layers(msgspec.Struct, frozen=True):
    layers: Any = None


class _Definition(msgspec.Struct, frozen=True, rename="camel"):
    build_type: str = ""
    resolved_dependencies: tuple[ClaimedMaterial, ...] | None = None


class _Metadata(msgspec.Struct, frozen=True):
    buildkit_metadata: _Layers = _Layers()


class _RunDetails(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()


class _V1(msgspec.Struct, frozen=True, rename="camel"):
    build_definition: _Definition
    run_details: _RunDetails = _RunDetails()


class _OldMetadata(msgspec.Struct, frozen=True, rename={"buildkit": "https://mobyproject.org/buildkit@v1#metadata"}):
    buildkit: _Layers = _Layers()


class _V02(msgspec.Struct, frozen=True, rename="camel"):
    build_type: str
    materials: tuple[ClaimedMaterial, ...] | None = None
    metadata: _OldMetadata = _OldMetadata()


def provenance(statement: RawStatement) -> ProvenanceClaims:
    """The provenance in a statement. Raises CorruptError if it is none of a version that is known."""
    try:
        if statement.predicate_type.endswith("/v0.2"):
            old = msgspec.json.decode(statement.predicate, type=_V02)
            return ProvenanceClaims(
                build_type=old.build_type, materials=old.materials or (), layers=_layers(old.metadata.buildkit)
            )
        new = msgspec.json.decode(statement.predicate, type=_V1)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(f"the provenance cannot be read: {error}") from error
    return ProvenanceClaims(
        build_type=new.build_definition.build_type,
        materials=new.build_definition.resolved_dependencies or (),
        layers=_layers(new.run_details.metadata.buildkit_metadata),
    )


def _layers(found: _Layers) -> tuple[ClaimedLayer, ...]:
    """The layers by step, {"step0:0": [[descriptor]]}. Builders nest them differently, so all levels are searched."""
    claimed: dict[str, ClaimedLayer] = {}
    pending = [found.layers]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, dict) and isinstance(digest := value.get("digest"), str):
            size = value.get("size")
            claimed[digest] = ClaimedLayer(digest, size if isinstance(size, int) else -1)
        elif isinstance(value, dict):
            pending += value.values()
    return tuple(claimed.values())


def image(uri: str) -> ImageUrl | None:
    """The image that a package URL names; None for another URI. Raises CorruptError for one that names none."""
    return image_purl.parse(uri) if uri.startswith(_IMAGE) else None


def malformed(material: ClaimedMaterial) -> Iterator[str]:
    """What is wrong with a material, without asking anyone."""
    if not material.uri:
        yield "a material has no URI"
    for algorithm, value in material.digest.items():
        if algorithm in ("sha256", "sha512") and not digests.is_digest(f"{algorithm}:{value}"):
            yield f"the digest of the material {material.uri} is malformed: {value!r}"


def resolve(registry: "Registry", material: ClaimedMaterial) -> str:
    """A note about a material that cannot be verified; empty if the registry has the image under the digest.

    Raises NotFoundError if it does not have it, CorruptError for a URI that names no image; RegistryError.
    """
    named = image(material.uri)
    if named is None:
        return f"the material {material.uri} is not an image, and was not verified"
    sha256 = material.digest.get("sha256", "")
    if not digests.is_digest(f"sha256:{sha256}"):
        return f"the material {material.uri} has no digest, and was not verified"
    try:
        registry.repository(named.reference).resolve(Digest(f"sha256:{sha256}"))
    except NotFoundError as error:
        raise NotFoundError(f"the material {material.uri} is gone: {error.message}", error.hint) from error
    return ""
