"""Send images to a registry, and remember what registries have: in one place, so that no sender forgets it.

Two things are remembered: the content of a repository (`origins.py`), so that it can be mounted or fetched from there
later, and what a tag points at, so that a later push can report that another user changed it. `publish` is the only way
to send an image to a registry. After anything else that learns of a registry's content, one of these is called:
`remember_pull`, `remember_tag` or `remember_graph`.
"""

from collections.abc import Iterable
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
from polyarch.transfer import graph as graphs
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
    """Send the image `name` in `source` to the repository of `reference`, under its tag if it has one. `converted` says
    that `source` returns converted manifests, which the store does not have. Raises as `copy.send` does.
    """
    names = (reference.tag,) if reference.tag else ()
    sent = copier.send(source, name, registry.repository(reference), names, options, emit)
    if not converted and sent.form != "subset":
        origins.record_image(store, sent.descriptor, reference)
    if reference.tag:
        remember_tag(store, reference, sent.descriptor.digest)
    return sent


def remember_pull(store: "Store", descriptor: Descriptor, reference: Reference) -> ImageGraph:
    """Record that the store has an image from `reference`. Returns the parts that it has. Platforms that were left out
    are recorded too, so that they can be fetched from there later.
    """
    graph = graphs.read(store, descriptor)
    origins.record_graph(store, graph, reference, origins.children(graph.root.document.raw, descriptor.media_type))
    if reference.tag:
        remember_tag(store, reference, descriptor.digest)
    return graph


def remember_graph(store: "Store", graph: ImageGraph, reference: Reference) -> None:
    """Record that the repository of `reference` has an image that was read there, but not pulled."""
    origins.record_graph(store, graph, reference)


def remember_blobs(store: "Store", blobs: Iterable[Digest], reference: Reference) -> None:
    """Record that the repository of `reference` has these blobs, as a cache there says."""
    origins.record(store, blobs, reference)


def remember_root(store: "Store", digest: Digest, reference: Reference) -> None:
    """Record that the repository of `reference` has a manifest, but not what the tag points at. For a base image: a
    build that reads it does not show its user what the tag points at.
    """
    origins.record(store, [digest], reference)


def remember_tag(store: "Store", reference: Reference, digest: Digest) -> None:
    """Record what a registry's tag points at now."""
    _REMOTE_TAGS.put(store.cache, str(reference), digest)


def remembered_tag(store: "Store", reference: Reference) -> Digest | None:
    """What the registry's tag pointed at when it was last read or pushed; None if that is not known."""
    return _REMOTE_TAGS.get(store.cache, str(reference))
