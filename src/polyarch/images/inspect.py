"""`inspect`: the details of an image, with the field names of docker's JSON."""

from typing import TYPE_CHECKING, Any

from polyarch.images import list as listing
from polyarch.images import names
from polyarch.oci import descriptor as descriptors
from polyarch.oci.document import Index
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference
from polyarch.transfer import choose

if TYPE_CHECKING:
    from polyarch.store import Store


# Docker leaves these strings out of the JSON if they are empty (`omitempty`, or fields of old engines); its templates
# print nothing for them.
OPTIONAL = ("Created", "Variant", "OsVersion", "Parent", "DockerVersion")


def inspect(store: "Store", name: str | Reference, platform: Platform | None, host: Platform) -> dict[str, Any]:
    """The details of the image `name` for `platform`, or else for the host, or else for any platform.

    The fields are those of docker's `image inspect`, without empty `OPTIONAL` ones, and `Platforms`: every image
    below the name, with its platform, digest, size in bytes and whether it is in the store. Raises NotFoundError.
    """
    named = names.find(store, name)
    names.require_here(store, named)
    image = choose.any_of(store, named.familiar, named.descriptor, platform, host)
    root = choose.read_document(store, named.descriptor)
    tagged = store.tagged()
    same = sorted(name for name, other in tagged.items() if other.digest == named.descriptor.digest)
    (listed,) = listing.list_images(store, {named.name: named.descriptor})
    document = image.config.document
    details: dict[str, Any] = {
        "Id": named.descriptor.digest,
        "RepoTags": [names.familiar(name) for name in same if "@" not in name],
        "RepoDigests": sorted({_at_digest(name, named.descriptor.digest) for name in same}),
        "Comment": next((line.comment for line in reversed(image.config.history) if line.comment), ""),
        "Created": document.get("created") or "",
        "Author": document.get("author") or "",
        "Config": dict(image.config.run),
        "Architecture": image.config.platform.architecture,
        "Variant": image.config.platform.variant,
        "Os": image.config.platform.os,
        "OsVersion": image.config.platform.os_version,
        "Size": sum(part.size for part in (image.manifest.config, *image.manifest.layers)) + image.descriptor.size,
        "RootFS": {"Type": "layers", "Layers": [*image.config.diff_ids]},
        "Descriptor": descriptors.to_dict(named.descriptor),
        "Manifest": {
            "Digest": image.descriptor.digest,
            "Config": image.manifest.config.digest,
            "Layers": [descriptors.to_dict(layer) for layer in image.manifest.layers],
            "Annotations": image.manifest.annotations,
        },
        "Annotations": root.annotations if isinstance(root, Index) else image.manifest.annotations,
        "Platforms": [
            {"Platform": entry.platform, "Digest": entry.digest, "Size": entry.size, "Available": entry.present}
            for entry in listed.platforms
            if not entry.attestation
        ],
    }
    return {key: value for key, value in details.items() if value or key not in OPTIONAL}


def _at_digest(name: str, digest: str) -> str:
    from polyarch.oci import reference as references
    from polyarch.oci.digest import Digest

    return references.parse(name).with_digest(Digest(digest)).familiar()
