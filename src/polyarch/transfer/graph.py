"""The graph below a name: indexes, manifests and blobs, read from a place before anything is sent.

A graph is read level by level, so that the manifests of a level are fetched in parallel. The content is not trusted:
sizes, depth and the number of entries are limited.
"""

from collections.abc import Callable, Collection, Iterable

import msgspec

from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci import document as documents
from polyarch.oci import index as indexes
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.oci.layer_table import tables_of
from polyarch.oci.place import Partial, Source

# BuildKit nests two levels at most; four also allow an index of indexes of builds.
MAX_DEPTH = 4
MAX_ENTRIES = 10_000

# Calls a function for each item, in parallel if possible, and returns the results in order.
Map = Callable[[Callable[[Descriptor], "GraphNode | None"], list[Descriptor]], "Iterable[GraphNode | None]"]


class GraphNode(msgspec.Struct, frozen=True):
    """A manifest or index, and the descriptor under which it was reached."""

    descriptor: Descriptor
    document: Manifest | Index


class ImageGraph(msgspec.Struct, frozen=True, kw_only=True):
    """Everything below a root, each once. `indexes` are sorted children first; the root is in one of the lists.

    `absent` are the entries of indexes that the source does not have. `tables` are the tables of contents of layers,
    which anyone may lack.
    """

    root: GraphNode
    indexes: tuple[GraphNode, ...]
    manifests: tuple[GraphNode, ...]
    blobs: tuple[Descriptor, ...]
    absent: tuple[Descriptor, ...]
    tables: tuple[Descriptor, ...] = ()


def in_turn(function: Callable[[Descriptor], GraphNode | None], items: list[Descriptor]) -> Iterable[GraphNode | None]:
    """A Map without threads."""
    return map(function, items)


def read_node(source: Source, descriptor: Descriptor) -> GraphNode:
    """The manifest or index that `descriptor` points at. Raises NotFoundError, CorruptError."""
    if descriptor.size > documents.MAX_SIZE:
        raise CorruptError(
            f"{descriptor.digest} claims to be a manifest of {descriptor.size} bytes, "
            f"more than the {documents.MAX_SIZE} that registries accept"
        )
    raw = source.read_manifest(descriptor)
    try:
        document = documents.load(raw, descriptor.media_type or None)
        # Registries compare the media type of the request with that in the manifest.
        if descriptor.media_type != document.media_type:
            descriptor = msgspec.structs.replace(descriptor, media_type=document.media_type)
        return GraphNode(descriptor, document)
    except CorruptError as error:
        raise CorruptError(f"{descriptor.digest}: {error.message}", error.hint) from error


def read(source: Source, root: Descriptor, only: Collection[Digest] | None = None, each: Map = in_turn) -> ImageGraph:
    """The graph below `root`. If `only` is given, entries of indexes with other digests are left out.

    Entries of unknown media types are ignored, as image-spec requires (image-index.md). Raises NotFoundError if the
    root does not exist, CorruptError for a graph that is malformed, too deep or too large.
    """
    first = read_node(source, root)
    known: dict[Digest, GraphNode] = {root.digest: first}
    depths: dict[Digest, int] = {}
    absent: dict[Digest, Descriptor] = {}
    blobs: dict[Digest, Descriptor] = {}
    tables: dict[Digest, Descriptor] = {}
    level, depth, visited = [root], 0, 0
    while level:
        following: dict[Digest, Descriptor] = {}
        for node in (known[entry.digest] for entry in level if entry.digest in known):
            if isinstance(node.document, Manifest):
                depths[node.descriptor.digest] = -1
                blobs.update((blob.digest, blob) for blob in blobs_of(node.document))
                tables.update((table.digest, table) for table in tables_of(node.document))
                continue
            depths[node.descriptor.digest] = depth
            chosen = [entry for entry in node.document.manifests if only is None or entry.digest in only]
            visited += len(chosen)
            following.update((entry.digest, entry) for entry in chosen if is_manifest(entry))
        level, depth = list(following.values()), depth + 1
        _check_bounds(root, level, depth, visited)
        unread = [entry for entry in level if entry.digest not in known and entry.digest not in absent]
        for entry, found in zip(unread, each(lambda entry: _read_or_none(source, entry), unread), strict=True):
            if found is None:
                absent[entry.digest] = entry
            else:
                known[entry.digest] = found
    nested = sorted((node for digest, node in known.items() if depths[digest] >= 0), key=_deepest_first(depths))
    return ImageGraph(
        root=first,
        indexes=tuple(nested),
        manifests=tuple(node for digest, node in known.items() if depths[digest] < 0),
        blobs=tuple(blobs.values()),
        absent=tuple(absent.values()),
        tables=tuple(table for digest, table in tables.items() if digest not in blobs),
    )


def blobs_of(manifest: Manifest) -> tuple[Descriptor, ...]:
    """The config and the layers of a manifest."""
    return (manifest.config, *manifest.layers)


def is_elsewhere(blob: Descriptor) -> bool:
    """Whether a layer is served by its publisher from `urls`, so that registries need not have it.

    image-spec, layer.md, "Non-Distributable Layers"; docker calls them foreign.
    """
    return bool(blob.urls) and not media_types.is_distributable(blob.media_type)


def in_order(graph: ImageGraph) -> list[list[GraphNode]]:
    """All documents but the root, in groups that can be written one after the other.

    A document comes after its `manifests` and its `subject`: some registries refuse it before those.
    """
    nodes = {node.descriptor.digest: node for node in (*graph.manifests, *graph.indexes) if node is not graph.root}
    waits: dict[Digest, int] = {}
    waiting_for: dict[Digest, list[Digest]] = {}
    for digest, node in nodes.items():
        named = _named(node.document) & nodes.keys()
        waits[digest] = len(named)
        for other in named:
            waiting_for.setdefault(other, []).append(digest)
    groups: list[list[GraphNode]] = []
    ready = [digest for digest, count in waits.items() if not count]
    while ready:
        groups.append([nodes[digest] for digest in ready])
        following: list[Digest] = []
        for digest in (waiter for written in ready for waiter in waiting_for.get(written, ())):
            waits[digest] -= 1
            if not waits[digest]:
                following.append(digest)
        ready = following
    return groups


def _named(document: Manifest | Index) -> set[Digest]:
    named = {entry.digest for entry in document.manifests} if isinstance(document, Index) else set()
    return named | ({document.subject} if document.subject is not None else set())


def missing(graph: ImageGraph, source: Source) -> tuple[Descriptor, ...]:
    """The parts of the graph that the source does not have, as far as it knows: manifests, then blobs."""
    if not isinstance(source, Partial):
        return graph.absent
    return (*graph.absent, *(blob for blob in graph.blobs if not is_elsewhere(blob) and source.lacks(blob)))


def require_whole(graph: ImageGraph, source: Source, name: str) -> None:
    """Raises NotFoundError with the parts of the graph that `source` does not have, and their platforms."""
    gone = missing(graph, source)
    if not gone:
        return
    digests = {descriptor.digest for descriptor in gone}
    lines = [f"  {entry.platform or entry.media_type}: manifest {entry.digest}" for entry in graph.absent]
    broken = {entry.digest for entry in graph.absent}
    for node in graph.manifests:
        assert isinstance(node.document, Manifest)
        for blob in blobs_of(node.document):
            if blob.digest in digests:
                broken.add(node.descriptor.digest)
                image = node.descriptor.platform or node.descriptor.digest
                lines.append(f"  {image}: blob {blob.digest} of {blob.size} bytes")
    entries = indexes.images(graph.root.document) if isinstance(graph.root.document, Index) else ()
    # Only images that were read: it is not known whether those of other platforms are complete.
    good = {node.descriptor.digest for node in graph.manifests} - broken
    complete = dict.fromkeys(str(entry.platform) for entry in entries if entry.platform and entry.digest in good)
    choice = f", or choose the complete ones with --platform {','.join(complete)}" if complete else ""
    raise NotFoundError(
        "\n".join([f"{name} is not complete, so nothing was sent. Missing:", *lines]),
        f"pull what is missing{choice}",
    )


def is_manifest(entry: Descriptor) -> bool:
    """Whether an entry of an index points at a manifest or an index, and not at other content."""
    return entry.media_type in media_types.MANIFESTS | media_types.INDEXES


def _read_or_none(source: Source, entry: Descriptor) -> GraphNode | None:
    try:
        return read_node(source, entry)
    except NotFoundError:
        return None


def _check_bounds(root: Descriptor, level: list[Descriptor], depth: int, visited: int) -> None:
    if depth >= MAX_DEPTH and any(entry.media_type in media_types.INDEXES for entry in level):
        raise CorruptError(
            f"the index {root.digest} is nested more than {MAX_DEPTH} levels deep",
            "name the images or indexes in it instead",
        )
    if visited > MAX_ENTRIES:
        raise CorruptError(f"the index {root.digest} has more than {MAX_ENTRIES} entries")


def _deepest_first(depths: dict[Digest, int]) -> Callable[[GraphNode], tuple[int, str]]:
    return lambda node: (-depths[node.descriptor.digest], node.descriptor.digest)
