"""`pull`: fetch an image from its registry into the store, with its complete index."""

from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference
from polyarch.transfer import copy as copier
from polyarch.transfer.publish import remember_pull

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.store import Store


class Pulled(msgspec.Struct, frozen=True):
    """What was fetched: the name in the store, and its descriptor."""

    name: str
    descriptor: Descriptor


def pull(
    store: "Store",
    registry: "Registry",
    reference: Reference,
    platforms: tuple[Platform, ...] | None,
    emit: progress.Emit = progress.ignore,
) -> Pulled:
    """Fetch `reference` for these platforms, None for all, and store it under its name.

    Blobs that are in the store are not fetched again. Raises NotFoundError for an unknown name, or for a platform that
    the image does not have (the error lists those it has); RegistryError; CorruptError.
    """
    name = str(reference)
    unit = f"pull {name}"
    with progress.reported(emit, unit, f"pull {reference.familiar()}", platforms or ()):
        descriptor = copier.copy(
            registry.repository(reference),
            reference.version,
            store,
            (name,),
            copier.CopyOptions(
                platforms=platforms, unit=unit, called=reference.familiar(), meanwhile=store.cache.prepare
            ),
            emit,
        )
    graph = remember_pull(store, descriptor, reference)
    for layer in (blob for blob in graph.blobs if media_types.is_encrypted(blob.media_type)):
        emit(
            progress.Warned(
                f"{reference.familiar()} has an encrypted layer ({layer.digest}): it can be pushed and saved, not run"
            )
        )
    return Pulled(name, descriptor)
