"""`tag`: create another name for an image in the store."""

from typing import TYPE_CHECKING

from polyarch.errors import UsageError
from polyarch.images import names
from polyarch.images.names import NamedImage
from polyarch.oci import reference as references
from polyarch.oci.reference import Reference

if TYPE_CHECKING:
    from polyarch.store import Store


def tag(store: "Store", source: str | Reference, target: str | Reference) -> NamedImage:
    """Create the name `target` for the image `source`. Raises NotFoundError; UsageError for a target with a digest."""
    reference = references.parse(target) if isinstance(target, str) else target
    if reference.digest:
        raise UsageError(f"{target} has a digest, which cannot be assigned", "use a name with a tag, such as name:1.0")
    image = names.find(store, source)
    names.require_here(store, image)
    reference = reference.tagged()
    store.tag(str(reference), image.descriptor)
    return NamedImage(str(reference), image.descriptor, reference=reference)
