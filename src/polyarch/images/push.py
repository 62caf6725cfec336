"""`push`: send an image to its registry, the images of an index before the index."""

from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.errors import UsageError
from polyarch.images import names
from polyarch.images.names import NamedImage
from polyarch.indexes import push as list_push
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference
from polyarch.transfer import read_through
from polyarch.transfer.copy import CopyOptions
from polyarch.transfer.publish import publish

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.store import Store


class PushedImage(msgspec.Struct, frozen=True):
    """What was sent. `note`, for the user, says if the index was sent without all of its images."""

    name: str
    tag: str
    descriptor: Descriptor
    note: str = ""


def push(
    store: "Store",
    registry: "Registry",
    reference: Reference,
    platforms: tuple[Platform, ...] | None,
    emit: progress.Emit = progress.ignore,
) -> PushedImage:
    """Send the image `reference` for these platforms, None for all.

    Raises NotFoundError before it sends anything if content is not in the store; RegistryError; UsageError for an id.
    """
    image = names.find(
        store, reference, f"'polyarch tag IMAGE {reference.familiar()}' gives an image of the store this name"
    )
    if image.reference is None:
        raise _unnamed(image, reference.familiar())
    reference = image.reference
    unit = f"push {image.name}"
    with progress.reported(emit, unit, f"push {reference.familiar()}", platforms or ()):
        sent = publish(
            store,
            registry,
            # Layers of a base image that were never downloaded are mounted from its repository, or fetched now. A
            # platform that was never pulled is an error.
            read_through.ReadThroughSource(store, registry, fetch_manifests=False),
            image.name,
            reference,
            CopyOptions(platforms=platforms, unit=unit, called=reference.familiar()),
            emit,
        )
    return PushedImage(
        reference.familiar(),
        reference.tag or image.descriptor.digest,
        sent.descriptor,
        list_push.note(sent, platforms),
    )


def _unnamed(image: NamedImage, text: str) -> UsageError:
    """The error for an image that was found by its digest, with the commands that push it."""
    if image.member is None:
        hint = "push it by its name, or name it with 'polyarch tag'"
        return UsageError(f"{text} is an id; a push needs a name", hint)
    command = image.command("push")
    return UsageError(
        f"{text} is {image.described}; a push needs a name",
        (f"'{command}' pushes only this image, " if command else "") + f"'polyarch tag {text} NAME' names it",
    )
