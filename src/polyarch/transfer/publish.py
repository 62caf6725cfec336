"""Sending an image to a registry, and remembering that it was: one place, so that no way of sending forgets it.

Remembered is what the repository has now (`transfer/read_through.py` mounts and fetches from there), and what the tag
points at, so that a later push can tell whether somebody else changed it.
"""

from typing import TYPE_CHECKING

from polyarch import progress
from polyarch.oci.digest import Digest
from polyarch.oci.place import Source
from polyarch.oci.reference import Reference
from polyarch.transfer import copy as copier
from polyarch.transfer.copy import CopyOptions, Sent
from polyarch.transfer.read_through import record_image

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.store.store import Store

_REMOTE = "remote"


def publish(
    store: "Store",
    registry: "Registry",
    source: Source,
    name: str,
    reference: Reference,
    options: CopyOptions,
    emit: progress.Emit = progress.ignore,
    *,
    converted: bool = False,
) -> Sent:
    """Send what `name` is in `source` to the repository of `reference`, under its tag where it has one.

    `converted` says that `source` gives other manifests than `store` has, of which the store knows nothing.
    Raises as `copy.send` does.
    """
    names = (reference.tag,) if reference.tag else ()
    sent = copier.send(source, name, registry.repository(reference), names, options, emit)
    if not converted and sent.form != "subset":
        record_image(store, sent.descriptor, reference)
    if reference.tag:
        remember_tag(store, reference, sent.descriptor.digest)
    return sent


def remember_tag(store: "Store", reference: Reference, digest: Digest) -> None:
    """Note what a registry's tag pointed at when it was last read or pushed."""
    store.cache.put(_REMOTE, str(reference), digest.encode())


def remembered_tag(store: "Store", reference: Reference) -> Digest | None:
    """What the registry's tag pointed at when it was last read or pushed; None if that is not known."""
    raw = store.cache.get(_REMOTE, str(reference))
    return None if raw is None else Digest(raw.decode())
