"""`tag`: another name for an image of the store."""

from typing import TYPE_CHECKING

from polyarch.errors import UsageError
from polyarch.images import names
from polyarch.images.names import NamedImage
from polyarch.oci import reference as references

if TYPE_CHECKING:
    from polyarch.store import Store


def tag(store: "Store", source: str, destination: str) -> NamedImage:
    """Let the name `destination` point at what `source` calls. Raises NotFoundError, UsageError."""
    target = references.parse(destination)
    if target.digest:
        raise UsageError(
            f"{destination} has a digest, which cannot be assigned", "use a name with a tag, as in name:1.0"
        )
    found = names.find(store, source)
    names.require_here(store, found)
    name = str(target.tagged())
    store.tag(name, found.descriptor)
    return NamedImage(name, found.descriptor)
