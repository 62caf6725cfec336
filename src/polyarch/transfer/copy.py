"""The copier: copies an image from any place to any other, children before the documents that name them.

Push, pull, save, load, merge and every `--output` are calls of `send`. Blobs are copied in parallel, each once: blobs
that the target has are skipped, those that its registry has in another repository are mounted, the rest is streamed.
Manifests and indexes follow after all blobs, each after everything that it names. The name is written last, so that it
never points at an incomplete image.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from polyarch import progress
from polyarch.distribution import errors as codes
from polyarch.errors import NotFoundError, PolyarchError, RegistryError
from polyarch.oci import config as configs
from polyarch.oci import document as documents
from polyarch.oci import platform as platforms
from polyarch.oci import retry as retries
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.oci.place import (
    BlobTarget,
    Fetching,
    Mounting,
    Originating,
    Partial,
    Referring,
    Source,
    Streaming,
    Tagged,
    Target,
)
from polyarch.oci.platform import Platform
from polyarch.oci.retry import Retry
from polyarch.transfer import graph as graphs
from polyarch.transfer import select
from polyarch.transfer.graph import GraphNode, ImageGraph
from polyarch.transfer.pool import WorkerPool
from polyarch.transfer.select import Selection

# Imported where it is used: a build that sends nothing starts sooner.
if TYPE_CHECKING:
    from polyarch.transfer.referrers import Found
    from polyarch.transfer.sender import Sender

# What the name at the target points at: the complete image; the original index, without some of its images; an index
# of only the requested images; one manifest without an index.
Form = Literal["whole", "sparse", "subset", "single"]

# The errors of registries for an index whose images they do not have (distribution-spec, error codes; "distribution"
# returns the first, others the rest).
_REFUSES_SPARSE = frozenset(
    {codes.MANIFEST_BLOB_UNKNOWN, codes.MANIFEST_UNKNOWN, codes.MANIFEST_INVALID, codes.BLOB_UNKNOWN}
)
CONCURRENCY = 4


class CopyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which parts of an image to copy, and how. `unit` is the id of the unit of work for progress events.

    `platforms` are the platforms to copy, None for all. For some platforms of an index, the original index is written
    ("sparse") if `sparse` is set and the target accepts it, otherwise an index of only those images; with `lone`, a
    single image is written without index and attestations. `single` copies the manifest of one platform without its
    index. With `present_only`, images that the source does not have are left out, as in an archive of some platforms.
    Messages call the image `called`, by default its name in the source. `retry` is for a blob that must be sent again
    from its beginning. With `referrers`, manifests about the image (signatures, attestations) are copied with it. As
    soon as `stopped` returns True, the copy ends with CancelledError. The thread that waits for blobs does `meanwhile`.
    """

    platforms: tuple[Platform, ...] | None = None
    single: bool = False
    sparse: bool = True
    lone: bool = False
    present_only: bool = False
    concurrency: int = CONCURRENCY
    unit: str = "copy"
    called: str = ""
    retry: Retry = retries.REOPEN
    referrers: bool = True
    stopped: Callable[[], bool] | None = None
    meanwhile: Callable[[], None] | None = None


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What was copied: the descriptor that the names point at, its form, and the bytes of its blobs."""

    descriptor: Descriptor
    form: Form
    moved: int
    mounted: int
    existing: int


def copy(
    source: Source,
    name: str,
    target: Target,
    names: Sequence[str],
    options: CopyOptions | None = None,
    emit: progress.Emit = progress.ignore,
) -> Descriptor:
    """Copy an image, see `send`. Returns the descriptor that the names point at."""
    return send(source, name, target, names, options, emit).descriptor


def send(
    source: Source,
    name: str,
    target: Target,
    names: Sequence[str],
    options: CopyOptions | None = None,
    emit: progress.Emit = progress.ignore,
) -> Sent:
    """Copy the image `name` from `source` to `target` under `names`; without names, it has only its digest there.

    Raises NotFoundError before anything is sent if the source lacks a part or the platform, CorruptError for bytes
    with another digest or size, RegistryError. The first failure stops the copy; blobs that were already copied stay.
    """
    from polyarch.transfer.sender import Sender

    options = options or CopyOptions()
    workers = 1 if isinstance(target, Streaming) and target.in_order else options.concurrency
    with WorkerPool(workers, options.stopped) as pool:
        root = source.fetch_manifest(name)[0] if isinstance(source, Fetching) else source.resolve(name)
        known: dict[Digest, bytes] = {}
        root, chosen = _choose(source, root, options.called or name, options, known)
        only = None if chosen is None else chosen.digests
        graph = graphs.read(source, root, only, pool.map)
        if options.present_only and graph.absent and isinstance(graph.root.document, Index):
            gone = {entry.digest for entry in graph.absent}
            chosen = Selection(frozenset(entry.digest for entry in graph.root.document.manifests) - gone)
            graph = msgspec.structs.replace(graph, absent=())
        graphs.require_whole(graph, source, options.called or name)
        sender = Sender(source, target, pool, emit, options.unit, options.retry)
        sender.known.update(known)
        if chosen is None and names and _is_there(source, target, graph, pool):
            found = _gather(source, graph, pool, options)
            if _is_named(target, graph, names, may_write=found is None or not found.levels):
                form: Form = "single" if options.single else "whole"
                existing = sum(blob.size for blob in graph.blobs)
                sender.referrers(found)
                return Sent(descriptor=graph.root.descriptor, form=form, moved=0, mounted=0, existing=existing)
        about: list[Found | None] = []

        def meanwhile() -> None:
            about.append(_gather(source, graph, pool, options))
            if options.meanwhile is not None:
                options.meanwhile()

        sender.blobs(
            [blob for blob in graph.blobs if not _stays(blob, source, target)],
            [table for table in graph.tables if not (isinstance(source, Partial) and source.lacks(table))],
            meanwhile,
        )
        descriptor, form = _write(sender, target, graph, about[0], names, options, chosen)
    return Sent(
        descriptor=descriptor,
        form=form,
        moved=sender.count("moved"),
        mounted=sender.count("mounted"),
        existing=sender.count("exists"),
    )


def send_blobs(
    source: Source,
    target: BlobTarget,
    blobs: Iterable[Descriptor],
    tables: Iterable[Descriptor],
    options: CopyOptions,
    emit: progress.Emit = progress.ignore,
) -> None:
    """Copy blobs without an image, and tables of contents as far as they are available. Raises as `send` does."""
    from polyarch.transfer.sender import BlobSender

    with WorkerPool(options.concurrency, options.stopped) as pool:
        sender = BlobSender(source, target, pool, emit, options.unit, options.retry)
        sender.blobs(blobs, tables)


def _is_there(source: Source, target: Target, graph: ImageGraph, pool: WorkerPool) -> bool:
    """Whether all of this image is known to be at the target.

    This needs only a request for each manifest below the root: the first, then, if the target is not near, the others
    at the same time. The blobs were seen there before, and a registry does not remove blobs of a manifest that it has.
    """
    if not isinstance(target, Tagged) or not isinstance(source, Originating) or not isinstance(target, Originating):
        return False
    nodes = [*graph.indexes, *graph.manifests]
    here = frozenset(target.origins(graph.root.descriptor.digest))
    contents = (*(node.descriptor.digest for node in nodes), *(blob.digest for blob in graph.blobs))
    if not all(here.intersection(source.origins(digest)) for digest in contents):
        return False

    def is_there(node: GraphNode) -> bool:
        try:
            return target.has_manifest(node.descriptor)
        except RegistryError:
            return False

    return all(pool.map(is_there, [node for node in nodes if node is not graph.root]))


def _is_named(target: Target, graph: ImageGraph, names: Sequence[str], *, may_write: bool) -> bool:
    """Whether these names point at the image that is at the target, perhaps because they were written now."""
    assert isinstance(target, Tagged)
    root = graph.root
    try:
        others = [name for name in names if target.points_at(name) != root.descriptor.digest]
        # An index is written again with its name, and the registry looks for its manifests. The blobs of a manifest are
        # there only if it is.
        if others and not (may_write and (isinstance(root.document, Index) or target.has_manifest(root.descriptor))):
            return False
        for name in others:
            target.write_manifest(root.descriptor, root.document.raw, name)
    except RegistryError:
        return False
    return True


def _stays(blob: Descriptor, source: Source, target: Target) -> bool:
    """Whether a layer stays at its publisher: it is not sent to registries, and an archive may lack it."""
    if not graphs.is_elsewhere(blob):
        return False
    return isinstance(target, Mounting) or (isinstance(source, Partial) and source.lacks(blob))


def _choose(
    source: Source, root: Descriptor, name: str, options: CopyOptions, known: dict[Digest, bytes]
) -> tuple[Descriptor, Selection | None]:
    """The root to copy, and the selection below it; None for everything. Blobs that are read are added to `known`."""
    if options.platforms is None:
        return root, None
    document = graphs.read_node(source, root).document
    if isinstance(document, Manifest):
        _require_platform(source, document, name, options.platforms, known)
        return root, None
    try:
        chosen = select.choose(source, document, options.platforms)
    except NotFoundError as error:
        raise NotFoundError(f"{name}: {error.message}", error.hint) from None
    if options.single:
        if len(chosen) != 1:
            raise PolyarchError(
                f"{name}: {len(chosen)} images match, but exactly one is needed", "name one platform exactly"
            )
        return chosen[0].entry, None
    picked = Selection(frozenset(digest for leaf in chosen for digest in leaf.digests), chosen)
    everything = {entry.digest for entry in document.manifests if graphs.is_manifest(entry)}
    if picked.digests == everything and not picked.nested:
        return root, None
    return root, picked.without_attestations() if options.lone and len(chosen) == 1 else picked


def _require_platform(
    source: Source, manifest: Manifest, name: str, wanted: tuple[Platform, ...], known: dict[Digest, bytes]
) -> None:
    if not manifest.is_image or manifest.config.size > documents.MAX_SIZE:
        return
    with source.open_blob(manifest.config) as reader:
        raw = reader.read()
    own = configs.load(raw).platform
    known[manifest.config.digest] = raw
    lacking = [str(platform) for platform in wanted if not platforms.serves(own, platform)]
    if lacking:
        raise NotFoundError(f"{name}: there is no image for {', '.join(lacking)}", f"it is one image, for {own}")


def _gather(source: Source, graph: ImageGraph, pool: WorkerPool, options: CopyOptions) -> "Found | None":
    """The manifests about this image, its index and its attestations; None if they are not wanted."""
    if not options.referrers or not isinstance(source, Referring):
        return None
    from polyarch.transfer import referrers

    subjects = (node.descriptor.digest for node in (*graph.indexes, *graph.manifests))
    return referrers.gather(source, subjects, pool)


def _write(
    sender: "Sender",
    target: Target,
    graph: ImageGraph,
    found: "Found | None",
    names: Sequence[str],
    options: CopyOptions,
    chosen: Selection | None,
) -> tuple[Descriptor, Form]:
    """Write the manifests, those about them, and finally the root under its names."""
    root = graph.root
    groups = graphs.in_order(graph)
    if chosen is None:
        for group in groups:
            sender.manifests(group)
        _finish(sender, target, root.document, found, names)
        return root.descriptor, "single" if options.single else "whole"
    for group in groups:
        sender.manifests(node for node in group if isinstance(node.document, Manifest))
    if options.sparse and _write_sparse(sender, target, graph, names):
        sender.referrers(found)
        return root.descriptor, "sparse"
    # The root is not written, so that nothing can be about it.
    found = found and msgspec.structs.replace(found, absent=frozenset((root.descriptor.digest,)))
    if options.lone and len(chosen.leaves) == 1:
        image = next(node for node in graph.manifests if node.descriptor.digest == chosen.leaves[0].entry.digest)
        _finish(sender, target, image.document, found, names)
        return image.descriptor, "single"
    assert isinstance(root.document, Index)
    lesser = chosen.lesser(root.document)
    _finish(sender, target, lesser, found, names)
    return lesser.descriptor(), "subset"


def _finish(
    sender: "Sender", target: Target, document: Manifest | Index, found: "Found | None", names: Sequence[str]
) -> None:
    """Write the root, then the manifests about it and its images, and finally the names.

    Some registries refuse a manifest before its subject, and whoever checks signatures may read a name at once.
    """
    descriptor = document.descriptor()
    if not names or (found is not None and found.is_about(descriptor.digest)):
        target.write_manifest(descriptor, document.raw)
    sender.referrers(found)
    for name in names:
        target.write_manifest(descriptor, document.raw, name)


def _write_sparse(sender: "Sender", target: Target, graph: ImageGraph, names: Sequence[str]) -> bool:
    """Write the original indexes without some of their images. Returns False if the target refuses that."""
    root = graph.root
    try:
        for node in graph.indexes:
            if node is not root:
                sender.manifest(node)
        for name in names or (None,):
            target.write_manifest(root.descriptor, root.document.raw, name)
    except RegistryError as error:
        if not _REFUSES_SPARSE.intersection(error.codes):
            raise
        return False
    return True
