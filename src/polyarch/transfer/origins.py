"""The repositories in which a blob or manifest was seen (containerd calls these distribution sources). They are in the
cache. Without them, a layer is pulled again, and a blob is sent that could have been mounted. Only `publish.py` and
`read_through.py` record origins.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from polyarch.oci import document as documents
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index
from polyarch.oci.layer_table import tables_of
from polyarch.oci.reference import Reference
from polyarch.store import tables
from polyarch.store.tables import Table
from polyarch.transfer import graph as graphs
from polyarch.transfer.graph import ImageGraph

if TYPE_CHECKING:
    from polyarch.store.store import Store

_ORIGINS: Table[Digest, tuple[str, ...]] = Table(
    tables.ORIGIN, msgspec.json.encode, msgspec.json.Decoder(tuple[str, ...]).decode
)
# The latest repositories are the most likely; asking older ones only adds requests.
_REMEMBERED = 8


def record(store: "Store", seen: Iterable[Digest], repository: Reference) -> None:
    """Remember that `repository` has these blobs or manifests."""
    name = str(repository.repository)
    changed: dict[Digest, tuple[str, ...]] = {}
    for digest in dict.fromkeys(seen):
        known = _known(store, digest)
        if known[:1] != (name,):
            others = [other for other in known if other != name]
            changed[digest] = (name, *others)[:_REMEMBERED]
    if changed:
        _ORIGINS.put_many(store.cache, changed.items())


def record_graph(store: "Store", graph: ImageGraph, repository: Reference, more: Iterable[Digest] = ()) -> None:
    """Remember that `repository` has everything in the `graph` of an image, and `more`."""
    nodes = [node.descriptor.digest for node in (*graph.indexes, *graph.manifests)]
    record(store, [*nodes, *(blob.digest for blob in (*graph.blobs, *graph.tables)), *more], repository)


def record_image(store: "Store", descriptor: Descriptor, repository: Reference) -> ImageGraph:
    """Remember that `repository` has every part of an image that the store has. Returns these parts."""
    graph = graphs.read(store, descriptor)
    record_graph(store, graph, repository)
    return graph


def find(store: "Store", digest: Digest) -> tuple[Reference, ...]:
    """The repositories that had the content when it was last seen, the latest first."""
    return tuple(references.parse(name) for name in _known(store, digest))


def is_known(store: "Store", digest: Digest) -> bool:
    """Whether the content was seen in any repository."""
    return bool(_known(store, digest))


def children(raw: bytes, media_type: str) -> tuple[Digest, ...]:
    """The digests that a manifest or index names."""
    document = documents.load(raw, media_type or None)
    if isinstance(document, Index):
        return tuple(entry.digest for entry in document.manifests if graphs.is_manifest(entry))
    return tuple(blob.digest for blob in (*graphs.blobs_of(document), *tables_of(document)))


def _known(store: "Store", digest: Digest) -> tuple[str, ...]:
    return _ORIGINS.get(store.cache, digest) or ()
