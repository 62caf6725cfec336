"""`push`: an image of the store to its registry, members before their index."""

from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.errors import UsageError
from polyarch.images import names
from polyarch.indexes import push as list_push
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.platform import Platform
from polyarch.transfer import read_through
from polyarch.transfer.copy import CopyOptions
from polyarch.transfer.publish import publish

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.store import Store


class PushedImage(msgspec.Struct, frozen=True):
    """What was sent. `note` says what a person should know of it: that the index was cut to what was sent."""

    name: str
    tag: str
    descriptor: Descriptor
    note: str = ""


def push(
    store: "Store",
    registry: "Registry",
    text: str,
    platforms: tuple[Platform, ...] | None,
    emit: progress.Emit = progress.ignore,
) -> PushedImage:
    """Send the image that `text` names, for these platforms, None for all.

    Raises NotFoundError before anything is sent where content is not in the store; RegistryError.
    """
    found = names.find(store, text)
    if found.member is not None:
        command = found.command("push")
        raise UsageError(
            f"{text} is {found.described}; a push needs a name",
            (f"'{command}' sends it alone, " if command else "") + f"'polyarch tag {text} NAME' gives it a name",
        )
    if found.by_id:
        raise UsageError(
            f"{text} is an id; a push needs a name", "push it by its name, or give it one with 'polyarch tag'"
        )
    reference = references.parse(found.name)
    unit = f"push {found.name}"
    with progress.reported(emit, unit, f"push {reference.familiar()}", platforms or ()):
        sent = publish(
            store,
            registry,
            # A base that was never downloaded is mounted where it is, or fetched now; a platform that was never
            # pulled stays away, and its absence is an error.
            read_through.ReadThroughSource(store, registry, fetch_manifests=False),
            found.name,
            reference,
            CopyOptions(platforms=platforms, unit=unit, called=reference.familiar()),
            emit,
        )
    return PushedImage(
        names.familiar(found.name),
        reference.tag or found.descriptor.digest,
        sent.descriptor,
        list_push.note(sent, platforms),
    )
