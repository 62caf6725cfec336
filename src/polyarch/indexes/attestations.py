"""The attestations of images: how each was built (SLSA provenance), what it contains (SBOM), and what else is about it.

An attestation is a manifest beside the image, whose layers are in-toto statements. BuildKit lists it as an entry of the
index. A registry, a layout or the store may also list it, and signatures, as a referrer of the image.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from polyarch.errors import CorruptError, NotFoundError, RegistryError
from polyarch.indexes import statements
from polyarch.indexes.inspect import Inspected, opened_to_read
from polyarch.oci.attestation import ARTIFACT_TYPE, PROVENANCE, SPDX
from polyarch.oci.descriptor import REFERENCE_DIGEST, Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.oci.place import Source
from polyarch.oci.platform import Platform
from polyarch.transfer import choose, locate, referrers, select
from polyarch.transfer import graph as graphs
from polyarch.transfer.locate import Places

Listed = Literal["index", "referrer"]


class Predicates(msgspec.Struct, frozen=True):
    """Predicates by platform, as buildx shows them: `provenance` {"SLSA": predicate}, `sbom` {"SPDX": predicate}."""

    provenance: dict[str, dict[str, Any]]
    sbom: dict[str, dict[str, Any]]


class Attestation(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest about an image: `image` is the image, `platform` its platform, `descriptor` the manifest.

    `listed` says where it was found. `manifest` is None if the place does not have it (`absent`), its registry does not
    answer (`unreachable`), or it cannot be read, for the reason `problem`. `about` are the manifests about this one,
    such as its signatures.
    """

    image: Descriptor
    platform: Platform | None
    descriptor: Descriptor
    listed: Listed
    manifest: Manifest | None = None
    problem: str = ""
    absent: bool = False
    unreachable: bool = False
    about: tuple[Descriptor, ...] = ()

    @property
    def is_attestation(self) -> bool:
        """Whether it has statements about the image. Else it is another artifact, such as a signature."""
        kind = self.manifest.artifact_type if self.manifest is not None else self.descriptor.artifact_type
        return self.listed == "index" or kind == ARTIFACT_TYPE

    @property
    def statements(self) -> tuple[Descriptor, ...]:
        """The layers that are statements."""
        layers = self.manifest.layers if self.manifest is not None else ()
        return tuple(layer for layer in layers if statements.is_statement(layer))


def find(source: Source, root: Descriptor, wanted: Sequence[Platform] = ()) -> tuple[Attestation, ...]:
    """Everything about the images below `root`, in their order: first what the index lists, then referrers.

    What is about the index itself comes last. `wanted` are platforms, all if empty. Raises NotFoundError for the root
    or a platform, CorruptError for the root; RegistryError.
    """
    document = graphs.read_node(source, root).document
    found: list[Attestation] = []
    for leaf in images(source, root, document, wanted):
        # `buildah manifest push --add-compression` repeats the entries of attestations.
        about = {entry.digest: entry for entry in leaf.about}.values()
        listed = [_read(source, leaf.entry, entry, "index") for entry in about]
        known = {one.descriptor.digest for one in listed}
        others = [entry for entry in referrers.find(source, leaf.entry.digest) if entry.digest not in known]
        found += [*listed, *(_read(source, leaf.entry, entry, "referrer") for entry in others)]
    if isinstance(document, Index):
        found += [_read(source, root, entry, "referrer") for entry in referrers.find(source, root.digest)]
    return tuple(found)


def images(
    source: Source, root: Descriptor, document: Manifest | Index, wanted: Sequence[Platform] = ()
) -> tuple[select.Leaf, ...]:
    """The images below a root for these platforms, all if there are none. Raises NotFoundError for a platform."""
    if isinstance(document, Index):
        return select.choose(source, document, wanted) if wanted else select.leaves(source, document)
    platform = choose.read_config(source, document).platform if document.is_image else None
    return (select.Leaf(msgspec.structs.replace(root, platform=platform)),)


def dangling(index: Index) -> tuple[Descriptor, ...]:
    """The attestations in an index that are about no image in it."""
    there = {entry.digest for entry in index.manifests}
    return tuple(
        entry
        for entry in index.manifests
        if entry.is_attestation and Digest(entry.annotations.get(REFERENCE_DIGEST, "")) not in there
    )


def _read(source: Source, image: Descriptor, entry: Descriptor, listed: Listed) -> Attestation:
    manifest, problem, absent, unreachable = None, "", False, False
    try:
        document = graphs.read_node(source, entry).document
        manifest = document if isinstance(document, Manifest) else None
        problem = "" if manifest is not None else f"{entry.digest} is an index, not a manifest"
    except (NotFoundError, CorruptError) as error:
        problem, absent = error.message, isinstance(error, NotFoundError)
    except RegistryError as error:
        problem, unreachable = error.message, True
    return Attestation(
        image=image,
        platform=image.platform,
        descriptor=entry,
        listed=listed,
        manifest=manifest,
        problem=problem,
        absent=absent,
        unreachable=unreachable,
        about=referrers.find(source, entry.digest),
    )


def predicates(places: Places, text: str, inspected: Inspected, *, provenance: bool, sbom: bool) -> Predicates:
    """The provenance and the SBOMs of `text`, which was inspected with `deep`, as buildx finds them: by the index.

    Raises NotFoundError, CorruptError, RegistryError.
    """
    platforms: dict[str, str] = {
        part.descriptor.digest: str(part.descriptor.platform)
        for part in inspected.parts
        if not part.descriptor.is_attestation
    }
    found = Predicates({}, {})
    with opened_to_read(locate.parse(text), places) as opened:
        for part in inspected.parts:
            platform = platforms.get(part.descriptor.annotations.get(REFERENCE_DIGEST, ""))
            if platform is None or not part.descriptor.is_attestation or not isinstance(part.document, Manifest):
                continue
            for layer in statements.layers_of(part.document, PROVENANCE)[:1] if provenance else ():
                found.provenance[platform] = {"SLSA": _predicate(opened.source, layer)}
            for layer in statements.layers_of(part.document, SPDX) if sbom else ():
                _add_bill(found.sbom.setdefault(platform, {}), _predicate(opened.source, layer))
    return found


def _predicate(source: Source, layer: Descriptor) -> Any:
    return statements.predicate(statements.read(source, layer))


def _add_bill(bills: dict[str, Any], predicate: Any) -> None:
    """The first SBOM is that of the image; others are those of scanned build stages."""
    if "SPDX" in bills:
        bills.setdefault("AdditionalSPDXs", []).append(predicate)
    else:
        bills["SPDX"] = predicate
