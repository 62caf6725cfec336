"""Sending to a registry, and remembering what registries have: one place, so that no way of sending forgets it.

Two things are remembered: what a repository has (`origins.py`), so that it is mounted or fetched from there later, and
what a tag points at, so that a later push can tell that another user changed it. `publish` is the only way to send an
image to a registry. After anything else that learns of a registry's content, one of these is called: `remember_pull`,
`remember_tag` or `remember_graph`.
"""

from typing import TYPE_CHECKING

from polyarch import progress
from polyarch.oci import digest as digests
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.place import Source
from polyarch.oci.reference import Reference
from polyarch.store import tables
from polyarch.store.tables import Table
from polyarch.transfer import copy as copier
from polyarch.transfer import origins
from polyarch.transfer.copy import CopyOptions, Sent
from polyarch.transfer.graph import ImageGraph

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.store.store import Store

_REMOTE_TAGS: Table[str, Digest] = Table(tables.REMOTE, str.encode, lambda raw: digests.parse(raw.decode()))


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
        origins.record_image(store, sent.descriptor, reference)
    if reference.tag:
        remember_tag(store, reference, sent.descriptor.digest)
    return sent


def remember_pull(store: "Store", descriptor: Descriptor, reference: Reference) -> ImageGraph:
    """Note that the store has an image from `reference`; what of the image it has.

    Platforms that were left out are noted too: they can be fetched later from where they are.
    """
    graph = origins.record_image(store, descriptor, reference)
    origins.record(store, origins.children(graph.root.document.raw, descriptor.media_type), reference)
    if reference.tag:
        remember_tag(store, reference, descriptor.digest)
    return graph


def remember_graph(store: "Store", graph: ImageGraph, reference: Reference) -> None:
    """Note that the repository of `reference` has an image which was read there, and not pulled."""
    origins.record_graph(store, graph, reference)


def remember_root(store: "Store", digest: Digest, reference: Reference) -> None:
    """Note that the repository of `reference` has a manifest. What the tag points at is not noted.

    For a base image: a build that reads it does not show its user what the tag points at.
    """
    origins.record(store, [digest], reference)


def remember_tag(store: "Store", reference: Reference, digest: Digest) -> None:
    """Note what a registry's tag pointed at when it was last read or pushed."""
    _REMOTE_TAGS.put(store.cache, str(reference), digest)


def remembered_tag(store: "Store", reference: Reference) -> Digest | None:
    """What the registry's tag pointed at when it was last read or pushed; None if that is not known."""
    return _REMOTE_TAGS.get(store.cache, str(reference))
