"""The indexes of the store by name: list, load, save and remove them."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import msgspec

from polyarch.errors import NotFoundError, UsageError
from polyarch.oci import digest as digests
from polyarch.oci import index as indexes
from polyarch.oci import media_types
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Index
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference
from polyarch.store.locks import FileLock

if TYPE_CHECKING:
    from polyarch.store.store import Store


class ListEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An index in the store: its full name, its descriptor, and the platforms of its entries."""

    name: str
    descriptor: Descriptor
    platforms: tuple[Platform | None, ...]
    attestations: int


def name_of(name: str | Reference) -> Reference:
    """The reference of a list, with the tag latest if it has none. Raises UsageError for a digest, which cannot
    change.
    """
    reference = (references.parse(name) if isinstance(name, str) else name).tagged()
    if reference.digest:
        raise UsageError(f"{name}: a list is named by a tag, not by a digest", "name it as in team/app:1.0")
    return reference


def exists(store: "Store", text: str) -> bool:
    """Whether `text` names an index in the store."""
    descriptor = store.tagged().get(str(name_of(text)))
    return descriptor is not None and descriptor.media_type in media_types.INDEXES


def ls(store: "Store") -> tuple[ListEntry, ...]:
    """All indexes in the store, by name."""
    found = []
    for name, descriptor in sorted(store.tagged().items()):
        if descriptor.media_type not in media_types.INDEXES:
            continue
        index = store.load(descriptor)
        assert isinstance(index, Index)
        images = indexes.images(index)
        found.append(
            ListEntry(
                name=name,
                descriptor=descriptor,
                platforms=tuple(entry.platform for entry in images),
                attestations=len(index.manifests) - len(images),
            )
        )
    return tuple(found)


def load(store: "Store", name: str | Reference) -> Index:
    """The index `name` in the store. Raises NotFoundError, UsageError if that is a single image."""
    reference = name_of(name)
    descriptor = store.tagged().get(str(reference))
    if descriptor is None:
        known = ", ".join(references.parse(listed.name).familiar() for listed in ls(store)) or "none"
        raise NotFoundError(
            f"there is no list {reference.familiar()} in the store",
            f"create it with: polyarch manifest create {reference.familiar()} MEMBER…, "
            f"or fetch it with: polyarch pull {reference.familiar()}; the lists here: {known}",
        )
    document = store.load(descriptor)
    if not isinstance(document, Index):
        raise UsageError(
            f"{reference.familiar()} is a single image, not a list",
            f"create a list of it with: polyarch manifest create LIST {reference.familiar()}",
        )
    return document


def editing(store: "Store", name: str | Reference) -> AbstractContextManager[object]:
    """A lock to hold from loading a list to saving it. A second edit of the same list waits, so that no edit is
    lost.
    """
    # A fixed number of files for all lists, so that none must be cleaned up. Two lists may share one.
    return FileLock(store.layout.lock(f"lists-{digests.of(str(name_of(name)).encode())[-1]}"))


def save(store: "Store", name: str | Reference, index: Index) -> Descriptor:
    """Point the name at this index, and then release the index that it pointed at before."""
    descriptor = index.descriptor()
    store.write_manifest(descriptor, index.raw, str(name_of(name)))
    return descriptor


def rm(store: "Store", names: tuple[str | Reference, ...]) -> tuple[ListEntry, ...]:
    """Remove the lists. Members that have their own names stay. All lists are checked before any is removed.

    Raises NotFoundError, UsageError.
    """
    lists = [name_of(name) for name in names]
    for reference in lists:
        load(store, reference)
    wanted = {str(reference) for reference in lists}
    gone = tuple(listed for listed in ls(store) if listed.name in wanted)
    store.drop(listed.name for listed in gone)
    return gone
