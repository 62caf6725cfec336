"""`inspect`: what is known of an image, under the names that docker's JSON has."""

from typing import TYPE_CHECKING, Any

from polyarch.images import list as listing
from polyarch.images import names
from polyarch.oci import descriptor as descriptors
from polyarch.oci.document import Index
from polyarch.oci.platform import Platform
from polyarch.transfer import choose

if TYPE_CHECKING:
    from polyarch.store import Store


def inspect(store: "Store", text: str, platform: Platform | None, host: Platform) -> dict[str, Any]:
    """What is known of the image that `text` calls: of its platform asked for, else the host's, else any.

    The fields are those of docker's `image inspect`, and `Platforms`: every image below the name, with its
    platform, digest, size in bytes and whether it is in the store. Raises NotFoundError.
    """
    found = names.find(store, text)
    names.require_here(store, found)
    image = choose.any_of(store, names.familiar(found.name), found.descriptor, platform, host)
    root = choose.read_document(store, found.descriptor)
    tagged = store.tagged()
    same = sorted(name for name, other in tagged.items() if other.digest == found.descriptor.digest)
    (listed,) = listing.list_images(store, {found.name: found.descriptor})
    document = image.config.document
    shown: dict[str, Any] = {
        "Id": found.descriptor.digest,
        "RepoTags": [names.familiar(name) for name in same if "@" not in name],
        "RepoDigests": sorted({_at_digest(name, found.descriptor.digest) for name in same}),
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
        "Descriptor": descriptors.to_dict(found.descriptor),
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
    optional = ("Variant", "OsVersion", "Author")
    return {key: value for key, value in shown.items() if value or key not in optional}


def _at_digest(name: str, digest: str) -> str:
    from polyarch.oci import reference as references
    from polyarch.oci.digest import Digest

    return references.parse(name).with_digest(Digest(digest)).familiar()
