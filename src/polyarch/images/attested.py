"""The attestations of an image in any place: what they are, and whether they hold."""

from typing import TYPE_CHECKING

from polyarch.errors import NotFoundError
from polyarch.images.check import sources
from polyarch.indexes import materials, verify
from polyarch.indexes.verify import AttestationReport
from polyarch.oci.platform import Platform
from polyarch.transfer import locate

if TYPE_CHECKING:
    from polyarch.indexes.materials import ClaimedMaterial
    from polyarch.transfer.locate import Places


def report(
    places: "Places", text: str, platforms: tuple[Platform, ...] = (), *, with_materials: bool = False
) -> AttestationReport:
    """What is about the image `text`, in the store, a registry, a layout or an archive, and every problem of it.

    `platforms` are those to look at, all if empty. With `with_materials`, registries are asked whether they still have
    the images that it was built from. Raises NotFoundError, CorruptError for the image itself; RegistryError.
    """

    def resolve(material: "ClaimedMaterial") -> str:
        return materials.resolve(places.registry, material)

    with sources.opened(text, places) as place:
        try:
            root = place.source.resolve(place.name)
        except NotFoundError as error:
            raise locate.not_found(text, error) from None
        return verify.verify(
            place.source, root, place.called, wanted=platforms, resolve=resolve if with_materials else None
        )
