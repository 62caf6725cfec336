"""`--metadata-file`: digests and names of what was built, as JSON, with buildx's keys."""

import os
from base64 import b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyarch.builder import BuildResult, Export
    from polyarch.dockerfile.rules import LintFinding

# What Go's strconv.ParseBool reads as true; any other text leaves the default of buildx.
_TRUE = ("1", "t", "true")


def of_build(export: "Export", result: "BuildResult", variables: Mapping[str, str]) -> dict[str, Any]:
    """The metadata of one build, with its warnings if BUILDX_METADATA_WARNINGS in `variables` asks for them."""
    return of(export, result, variables) | warnings([result], variables)


def of(export: "Export", result: "BuildResult", variables: Mapping[str, str]) -> dict[str, Any]:
    """The metadata of one build without warnings. BUILDX_METADATA_PROVENANCE in `variables` is read.

    An output of files has no digest and no name. No value is empty.
    """
    from polyarch.oci import descriptor as descriptors

    metadata: dict[str, Any] = {"buildx.build.ref": result.reference}
    if result.descriptor is not None and result.image_id:
        metadata["containerimage.digest"] = result.descriptor.digest
        metadata["containerimage.descriptor"] = descriptors.to_dict(result.descriptor)
        if result.is_alone:
            metadata["containerimage.config.digest"] = result.images[0].config
        nameless = any(output.by_digest for output in export.outputs)
        metadata["image.name"] = ",".join(str(name if nameless else name.tagged()) for name in export.names)
        # A matrix of builders needs this to merge its images; buildx does not report it.
        metadata["polyarch.images"] = {
            str(image.platform): {"digest": image.descriptor.digest, "config": image.config} for image in result.images
        }
    if result.provenance:
        metadata |= _provenance(result, variables)
    return {key: value for key, value in metadata.items() if value}


def warnings(results: "Iterable[BuildResult]", variables: Mapping[str, str]) -> dict[str, Any]:
    """The warnings of builds, each once, as buildx writes them for all targets of a bake together. Nothing unless
    BUILDX_METADATA_WARNINGS is true.
    """
    if variables.get("BUILDX_METADATA_WARNINGS", "").lower() not in _TRUE:
        return {}
    found: list[dict[str, Any]] = []
    for result in results:
        each = (_warning(finding, *result.source) for finding in result.findings)
        found += [one for one in each if one not in found]
    return {"buildx.build.warnings": found} if found else {}


def write(path: Path, metadata: Mapping[str, Any]) -> None:
    """Write metadata to a file: whole or not at all, with sorted keys as buildx."""
    import msgspec

    raw = msgspec.json.format(msgspec.json.encode(dict(sorted(metadata.items()))), indent=2)
    if path.exists() and not path.is_file():
        path.write_bytes(raw)  # a pipe or a terminal
        return
    path = path.resolve()  # a link stays
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(raw)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise type(error)(error.errno, error.strerror, str(path)) from error


def _warning(finding: "LintFinding", name: str, text: str) -> dict[str, Any]:
    """A finding as BuildKit sends it (client/graph.go, VertexWarning)."""
    from polyarch.oci import digest as digests

    raw = text.encode("utf-8", "surrogateescape")
    where = finding.location
    rule = finding.rule
    found = {
        "vertex": digests.of(raw),
        "level": 1,
        "short": _base64(f"{rule.name}: {finding.message} (line {where.first})"),
        "detail": [_base64(rule.description)],
        "url": rule.url,
        "sourceInfo": {"filename": name, "data": b64encode(raw).decode(), "language": "Dockerfile"},
        "range": [{"start": {"line": where.first}, "end": {"line": where.last}}],
    }
    return {key: value for key, value in found.items() if value}


def _base64(text: str) -> str:
    return b64encode(text.encode("utf-8", "surrogateescape")).decode()


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
