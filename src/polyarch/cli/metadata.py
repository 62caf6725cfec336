"""`--metadata-file`: digests and names of what was built, as JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyarch.builder import BuildResult, Export


def of(export: "Export", result: "BuildResult", variables: Mapping[str, str]) -> dict[str, Any]:
    """The metadata of one build, with buildx's keys. BUILDX_METADATA_PROVENANCE in `variables` is read."""
    from polyarch.oci import descriptor as descriptors

    nameless = any(output.by_digest for output in export.outputs)
    names = ",".join(str(name if nameless else name.tagged()) for name in export.names)
    digest = result.descriptor.digest if result.descriptor is not None else ""
    metadata: dict[str, Any] = {"containerimage.digest": digest, "image.name": names}
    if result.descriptor is not None:
        metadata["containerimage.descriptor"] = descriptors.to_dict(result.descriptor)
        if len(result.images) == 1:
            metadata["containerimage.config.digest"] = result.images[0].config
        # A matrix of builders needs this to merge its images; buildx does not report it.
        metadata["polyarch.images"] = {
            str(image.platform): {"digest": image.descriptor.digest, "config": image.config} for image in result.images
        }
    return metadata | _provenance(result, variables) if result.provenance else metadata


def write(path: Path, metadata: Mapping[str, Any]) -> None:
    """Write metadata to a file."""
    import msgspec

    path.write_bytes(msgspec.json.format(msgspec.json.encode(metadata), indent=2))


def _provenance(result: "BuildResult", variables: Mapping[str, str]) -> dict[str, Any]:
    """The provenance as in buildx's metadata file. BUILDX_METADATA_PROVENANCE says how much: min, max or disabled."""
    from polyarch.attest.provenance import for_metadata

    form = variables.get("BUILDX_METADATA_PROVENANCE", "").lower()
    if form in ("disabled", "0", "f", "false"):
        return {}
    alone = len(result.images) == 1
    return {
        "buildx.build.provenance" + ("" if alone else f"/{platform}"): for_metadata(made, whole=form == "max")
        for platform, made in result.provenance.items()
    }
