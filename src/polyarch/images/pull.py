"""`pull`: an image from its registry into the store, its index kept as it is."""

from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference
from polyarch.transfer import copy as copier
from polyarch.transfer import read_through
from polyarch.transfer.publish import remember_tag

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.store import Store


class Pulled(msgspec.Struct, frozen=True):
    """What was fetched: the name in the store, and what it points at."""

    name: str
    descriptor: Descriptor


def pull(
    store: "Store",
    registry: "Registry",
    reference: Reference,
    platforms: tuple[Platform, ...] | None,
    emit: progress.Emit = progress.ignore,
) -> Pulled:
    """Fetch `reference` for these platforms, None for all, and let its name in the store point at it.

    Blobs that the store has are not fetched. Raises NotFoundError for an unknown name, or for a platform that the
    image lacks, with those it has; RegistryError; CorruptError.
    """
    name = str(reference)
    unit = f"pull {name}"
    with progress.reported(emit, unit, f"pull {reference.familiar()}", platforms or ()):
        descriptor = copier.copy(
            registry.repository(reference),
            reference.version,
            store,
            (name,),
            copier.CopyOptions(platforms=platforms, unit=unit, called=reference.familiar()),
            emit,
        )
    # What was left out now can be fetched later from where it is, and what came can be mounted there on a push.
    graph = read_through.record_image(store, descriptor, reference)
    for layer in (blob for blob in graph.blobs if media_types.is_encrypted(blob.media_type)):
        emit(
            progress.Warned(
                f"{reference.familiar()} has an encrypted layer ({layer.digest}): it can be pushed and saved, not run"
            )
        )
    read_through.record_origins(
        store, read_through.children(store.read_manifest(descriptor), descriptor.media_type), reference
    )
    if reference.tag:
        # So that a later push of an index can say that somebody else changed it in the meantime.
        remember_tag(store, reference, descriptor.digest)
    return Pulled(name, descriptor)
