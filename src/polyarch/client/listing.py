"""Images of the store as the values of the client."""

from typing import TYPE_CHECKING

from polyarch.client.values import Image, ImagePlatform

if TYPE_CHECKING:
    from polyarch.images.list import ListedImage
    from polyarch.oci.descriptor import Descriptor
    from polyarch.store import Store


def listed(store: "Store", name: str, descriptor: "Descriptor") -> Image:
    """The image under a name in the store."""
    from polyarch.images import list as images

    (found,) = images.list_images(store, {name: descriptor})
    return image(found)


def image(found: "ListedImage") -> Image:
    """The value of the client for an image."""
    from polyarch.images import names

    return Image(
        name=names.familiar(found.name) if found.name else "",
        digest=found.digest,
        size=found.size,
        is_index=found.is_index,
        platforms=tuple(
            ImagePlatform(
                platform=entry.platform,
                digest=entry.digest,
                size=entry.size,
                config=entry.config,
                available=entry.present,
                attestation=entry.attestation,
            )
            for entry in found.platforms
        ),
    )
