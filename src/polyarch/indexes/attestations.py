"""Read the attestations of images: how each was built (SLSA provenance), and what it contains (SPDX SBOM).

The format is BuildKit's: a manifest beside the image, whose layers are in-toto statements.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from polyarch.errors import CorruptError, NotFoundError
from polyarch.indexes.inspect import Inspected, opened_to_read
from polyarch.oci import nesting
from polyarch.oci.descriptor import REFERENCE_DIGEST, Descriptor
from polyarch.oci.document import Manifest
from polyarch.oci.place import Source
from polyarch.transfer import locate
from polyarch.transfer.locate import Places

PREDICATE_TYPE = "in-toto.io/predicate-type"
_PROVENANCE, _SBOM = "https://slsa.dev/provenance/", "https://spdx.dev/Document"
# An SBOM of a complete distribution has about 10 MB; a registry may claim any size.
_MAX_STATEMENT = 128 << 20


class Attested(msgspec.Struct, frozen=True):
    """Predicates by platform, as buildx shows them: `provenance` {"SLSA": predicate}, `sbom` {"SPDX": predicate}."""

    provenance: dict[str, dict[str, Any]]
    sbom: dict[str, dict[str, Any]]


def read(places: Places, text: str, inspected: Inspected) -> Attested:
    """The attestations of `text`, which was inspected with `deep`. Raises CorruptError, RegistryError."""
    platforms: dict[str, str] = {
        part.descriptor.digest: str(part.descriptor.platform)
        for part in inspected.parts
        if not part.descriptor.is_attestation
    }
    attested = Attested({}, {})
    with opened_to_read(locate.parse(text), places) as opened:
        for part in inspected.parts:
            platform = platforms.get(part.descriptor.annotations.get(REFERENCE_DIGEST, ""))
            if platform is None or not part.descriptor.is_attestation or not isinstance(part.document, Manifest):
                continue
            for kind, predicate in _statements(opened.source, part.document):
                if kind.startswith(_PROVENANCE):
                    attested.provenance.setdefault(platform, {}).setdefault("SLSA", predicate)
                elif kind.startswith(_SBOM):
                    _add_bill(attested.sbom.setdefault(platform, {}), predicate)
    return attested


def _add_bill(bills: dict[str, Any], predicate: Any) -> None:
    """The first SBOM is that of the image; others are those of scanned build stages."""
    if "SPDX" in bills:
        bills.setdefault("AdditionalSPDXs", []).append(predicate)
    else:
        bills["SPDX"] = predicate


def _statements(source: Source, manifest: Manifest) -> Iterator[tuple[str, Any]]:
    for layer in manifest.layers:
        if kind := layer.annotations.get(PREDICATE_TYPE):
            yield kind, _predicate(source, layer)


def _predicate(source: Source, layer: Descriptor) -> Any:
    if layer.size > _MAX_STATEMENT:
        raise CorruptError(f"the attestation {layer.digest} claims {layer.size} bytes")
    try:
        with source.open_blob(layer) as reader:
            raw = reader.read()
        nesting.check(raw, f"the attestation {layer.digest}")
        statement = msgspec.json.decode(raw)
    except NotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(f"the attestation {layer.digest} is not valid JSON: {error}") from error
    return statement.get("predicate") if isinstance(statement, dict) else None
