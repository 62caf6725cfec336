"""The names in a layout's index.json (image-spec, image-layout.md): which entry a name means, and giving one.

An entry carries a ref name; containerd and BuildKit put the whole reference beside it, and so do we, because
`latest` alone does not say of what. Several entries may point at one digest under different names.
"""

import msgspec

from polyarch.errors import NotFoundError, UsageError
from polyarch.oci import descriptor as descriptors
from polyarch.oci import document as documents
from polyarch.oci import reference as references
from polyarch.oci.descriptor import REF_NAME, Descriptor
from polyarch.oci.document import Index
from polyarch.oci.reference import Reference

# containerd's annotation for the reference in full.
IMAGE_NAME = "io.containerd.image.name"


class Named(msgspec.Struct, frozen=True):
    """An image at the top of a layout: the name it goes by, empty if it has none, and what it points at."""

    name: str
    descriptor: Descriptor


def entries(index: Index) -> tuple[Named, ...]:
    """The images at the top, in order; where an entry has both names, the one in full."""
    return tuple(
        Named(entry.annotations.get(IMAGE_NAME) or entry.annotations.get(REF_NAME, ""), _bare(entry))
        for entry in index.manifests
    )


def is_one_image(index: Index) -> bool:
    """Whether index.json lists the platforms of one image (crane writes it so), not images that have names."""
    return len(index.manifests) > 1 and all(
        entry.platform is not None and not {IMAGE_NAME, REF_NAME} & entry.annotations.keys()
        for entry in index.manifests
    )


def find(index: Index, name: str, where: str) -> Descriptor:
    """What `name` means: a name in full, a ref name, a digest at the top, or the only image if it is empty.

    Raises NotFoundError with the names that there are.
    """
    have = ", ".join(sorted(named.name or named.descriptor.digest for named in entries(index))) or "nothing"
    if not name:
        found = {entry.digest: entry for entry in index.manifests}
        if len(found) != 1:
            raise NotFoundError(f"{where} has {len(found)} images, and none was named", f"it has {have}")
        return _bare(next(iter(found.values())))
    reference = _reference(name)
    for entry in index.manifests:
        own = (entry.annotations.get(IMAGE_NAME, ""), entry.annotations.get(REF_NAME, ""), entry.digest)
        if name in own:
            return _bare(entry)
        if reference is not None and any(text and _reference(text) == reference for text in own[:2] if "/" in text):
            return _bare(entry)
    raise NotFoundError(f"{where} has no image {name!r}", f"it has {have}")


def give(index: Index, descriptor: Descriptor, name: str) -> Index:
    """The index with an entry for `descriptor` under `name`, taken from whatever had that name; none if it is empty."""
    document = index.decode()
    annotations = _annotations(name) if name else {}
    plain = descriptors.to_dict(_bare(descriptor)) | ({"annotations": annotations} if annotations else {})
    kept = []
    for entry, existing in zip(index.manifests, document["manifests"], strict=True):
        own = {key: entry.annotations[key] for key in (IMAGE_NAME, REF_NAME) if key in entry.annotations}
        nameless_twin = not own and entry.digest == descriptor.digest
        if not (own and own == annotations) and not nameless_twin:
            kept.append(existing)
    if not name and any(entry["digest"] == descriptor.digest for entry in kept):
        return index
    document["manifests"] = [*kept, plain]
    given = documents.load(documents.encode(document))
    assert isinstance(given, Index)
    return given


def tagged(name: str) -> str:
    """A name for docker's `manifest.json`; empty for one that is no reference with a tag.

    In full, as podman writes it: docker shortens it again, while podman takes a short one for localhost's.
    """
    reference = _reference(name) if "/" in name or ":" in name else None
    return str(reference) if reference is not None and reference.tag and not reference.digest else ""


def _annotations(name: str) -> dict[str, str]:
    reference = _reference(name) if "/" in name or ":" in name else None
    if reference is None:
        return {REF_NAME: name}
    return {IMAGE_NAME: str(reference), REF_NAME: reference.tag or str(reference)}


def _reference(name: str) -> Reference | None:
    try:
        return references.parse(name).tagged()
    except UsageError:
        return None


def _bare(entry: Descriptor) -> Descriptor:
    return Descriptor(
        media_type=entry.media_type, digest=entry.digest, size=entry.size, artifact_type=entry.artifact_type
    )
