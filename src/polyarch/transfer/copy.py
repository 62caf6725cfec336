"""The copier: copies an image from any place to any other, children before the documents that name them.

Push, pull, save, load, merge and every `--output` are calls of `send`. Blobs are copied in parallel, each once: blobs
that the target has are skipped, those that its registry has in another repository are mounted, the rest is streamed.
Manifests and indexes follow after all blobs, each after everything that it names. The name is written last, so that it
never points at an incomplete image.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from polyarch import progress
from polyarch.distribution import errors as codes
from polyarch.errors import CorruptError, NotFoundError, PolyarchError, RegistryError
from polyarch.oci import config as configs
from polyarch.oci import document as documents
from polyarch.oci import platform as platforms
from polyarch.oci import retry as retries
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Index, Manifest
from polyarch.oci.place import Fetching, Mounting, Originating, Partial, Readable, Source, Streaming, Tagged, Target
from polyarch.oci.platform import Platform
from polyarch.oci.retry import Retry
from polyarch.transfer import graph as graphs
from polyarch.transfer import select
from polyarch.transfer.graph import GraphNode, ImageGraph
from polyarch.transfer.pool import WorkerPool
from polyarch.transfer.select import Selection

# What the name at the target points at: the complete image; the original index, without some of its images; an index
# of only the requested images; one manifest without an index.
Form = Literal["whole", "sparse", "subset", "single"]

# The errors of registries for an index whose images they do not have (distribution-spec, error codes; "distribution"
# returns the first, others the rest).
_REFUSES_SPARSE = frozenset(
    {codes.MANIFEST_BLOB_UNKNOWN, codes.MANIFEST_UNKNOWN, codes.MANIFEST_INVALID, codes.BLOB_UNKNOWN}
)
# The number of origins that are tried: each attempt is a round trip.
_MOUNT_ATTEMPTS = 3
CONCURRENCY = 4
_REPORT_EVERY = 1 << 20
# A read from a slow connection returns when it has all bytes, and a copy cannot be stopped before: so read few at once.
_LARGEST_READ = 128 << 10


class CopyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which parts of an image to copy, and how. `unit` is the id of the unit of work for progress events.

    `platforms` are the platforms to copy, None for all. For some platforms of an index, the original index is written
    ("sparse") if `sparse` is set and the target accepts it, otherwise an index of only those images; with `lone`, a
    single image is written without index and attestations. `single` copies the manifest of one platform without its
    index. With `present_only`, images that the source does not have are left out, as in an archive of some platforms.
    Messages call the image `called`, by default its name in the source. `retry` is for a blob that must be sent again
    from its beginning.
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
    options = options or CopyOptions()
    with WorkerPool(1 if isinstance(target, Streaming) and target.in_order else options.concurrency) as pool:
        root = source.fetch_manifest(name)[0] if isinstance(source, Fetching) else source.resolve(name)
        root, chosen = _choose(source, root, options.called or name, options)
        only = None if chosen is None else chosen.digests
        graph = graphs.read(source, root, only, pool.map)
        if options.present_only and graph.absent and isinstance(graph.root.document, Index):
            gone = {entry.digest for entry in graph.absent}
            chosen = Selection(frozenset(entry.digest for entry in graph.root.document.manifests) - gone)
            graph = msgspec.structs.replace(graph, absent=())
        graphs.require_whole(graph, source, options.called or name)
        if chosen is None and names and _is_there(source, target, graph, names):
            form: Form = "single" if options.single else "whole"
            existing = sum(blob.size for blob in graph.blobs)
            return Sent(descriptor=graph.root.descriptor, form=form, moved=0, mounted=0, existing=existing)
        sender = _Sender(source, target, pool, options, emit)
        sender.blobs([blob for blob in graph.blobs if not _stays(blob, source, target)])
        sender.tables(table for table in graph.tables if not (isinstance(source, Partial) and source.lacks(table)))
        descriptor, form = _write(sender, target, graph, names, options, chosen)
    return Sent(
        descriptor=descriptor,
        form=form,
        moved=sender.count("moved"),
        mounted=sender.count("mounted"),
        existing=sender.count("exists"),
    )


def _is_there(source: Source, target: Target, graph: ImageGraph, names: Sequence[str]) -> bool:
    """Whether the names at the target already point at this image, and all of it is known to be there.

    This needs only a few requests: one for each name and each manifest. The blobs were seen there before, and a
    registry does not remove blobs of a manifest that it has.
    """
    if not isinstance(target, Tagged) or not isinstance(source, Originating) or not isinstance(target, Originating):
        return False
    nodes = [*graph.indexes, *graph.manifests]
    here = frozenset(target.origins(graph.root.descriptor.digest))
    contents = (*(node.descriptor.digest for node in nodes), *(blob.digest for blob in graph.blobs))
    if not all(here.intersection(source.origins(digest)) for digest in contents):
        return False
    try:
        if any(target.points_at(name) != graph.root.descriptor.digest for name in names):
            return False
        return all(target.has_manifest(node.descriptor) for node in nodes if node is not graph.root)
    except RegistryError:
        return False


def _stays(blob: Descriptor, source: Source, target: Target) -> bool:
    """Whether a layer stays at its publisher: it is not sent to registries, and an archive may lack it."""
    if not graphs.is_elsewhere(blob):
        return False
    return isinstance(target, Mounting) or (isinstance(source, Partial) and source.lacks(blob))


def _choose(source: Source, root: Descriptor, name: str, options: CopyOptions) -> tuple[Descriptor, Selection | None]:
    """The root to copy, and the selection below it; None for everything."""
    if options.platforms is None:
        return root, None
    document = graphs.read_node(source, root).document
    if isinstance(document, Manifest):
        _require_platform(source, document, name, options.platforms)
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


def _require_platform(source: Source, manifest: Manifest, name: str, wanted: tuple[Platform, ...]) -> None:
    if not manifest.is_image or manifest.config.size > documents.MAX_SIZE:
        return
    with source.open_blob(manifest.config) as reader:
        own = configs.load(reader.read()).platform
    lacking = [str(platform) for platform in wanted if not platforms.serves(own, platform)]
    if lacking:
        raise NotFoundError(f"{name}: there is no image for {', '.join(lacking)}", f"it is one image, for {own}")


def _write(
    sender: "_Sender",
    target: Target,
    graph: ImageGraph,
    names: Sequence[str],
    options: CopyOptions,
    chosen: Selection | None,
) -> tuple[Descriptor, Form]:
    """Write the manifests, and finally the root under its names."""
    root = graph.root
    groups = graphs.in_order(graph)
    if chosen is not None:
        for group in groups:
            sender.manifests(node for node in group if isinstance(node.document, Manifest))
        if options.sparse and _write_sparse(sender, target, graph, names):
            return root.descriptor, "sparse"
        if options.lone and len(chosen.leaves) == 1:
            image = next(node for node in graph.manifests if node.descriptor.digest == chosen.leaves[0].entry.digest)
            _write_names(target, image.descriptor, image.document.raw, names)
            return image.descriptor, "single"
        assert isinstance(root.document, Index)
        lesser = chosen.lesser(root.document)
        descriptor = lesser.descriptor()
        _write_names(target, descriptor, lesser.raw, names)
        return descriptor, "subset"
    for group in groups:
        sender.manifests(group)
    _write_names(target, root.descriptor, root.document.raw, names)
    return root.descriptor, "single" if options.single else "whole"


def _write_sparse(sender: "_Sender", target: Target, graph: ImageGraph, names: Sequence[str]) -> bool:
    """Write the original indexes without some of their images. Returns False if the target refuses that."""
    try:
        for node in graph.indexes:
            if node is not graph.root:
                sender.manifest(node)
        _write_names(target, graph.root.descriptor, graph.root.document.raw, names)
    except RegistryError as error:
        if not _REFUSES_SPARSE.intersection(error.codes):
            raise
        return False
    return True


def _write_names(target: Target, descriptor: Descriptor, raw: bytes, names: Sequence[str]) -> None:
    for name in names or (None,):
        target.write_manifest(descriptor, raw, name)


class _Sender:
    """Copies single blobs and manifests, and counts the bytes."""

    def __init__(
        self, source: Source, target: Target, pool: WorkerPool, options: CopyOptions, emit: progress.Emit
    ) -> None:
        self._source = source
        self._target = target
        self._pool = pool
        self._unit = options.unit
        self._retry = options.retry
        self._emit = emit
        self._tally: dict[str, int] = {}
        self._lock = threading.Lock()
        # Checked once, not for each of hundreds of blobs: isinstance with a Protocol checks all of its methods.
        self._mounting = target if isinstance(target, Mounting) else None
        self._originating = source if isinstance(source, Originating) else None

    def count(self, how: str) -> int:
        """The bytes of the blobs that were handled this way: "moved", "mounted" or "exists"."""
        return self._tally.get(how, 0)

    def blobs(self, blobs: Iterable[Descriptor]) -> None:
        """Copy all blobs, the largest first, because it takes longest. A stream gets them in a fixed order."""
        if isinstance(self._target, Streaming) and self._target.in_order:
            ordered = sorted(blobs, key=lambda blob: blob.digest)
        else:
            ordered = sorted(blobs, key=lambda blob: -blob.size)
        for blob in ordered:
            self._report(blob, 0)
        self._pool.run(self._blob, ordered)

    def tables(self, tables: Iterable[Descriptor]) -> None:
        """Copy tables of contents. A table that is missing, or that the target refuses, is left out."""
        self._pool.run(self._table, sorted(tables, key=lambda table: table.digest))

    def _table(self, table: Descriptor) -> None:
        self._pool.check()
        with contextlib.suppress(NotFoundError, RegistryError, CorruptError):
            if not self._target.has_blob(table) and not self._mount(table):
                with self._source.open_blob(table) as reader:
                    self._target.write_blob(table, reader)

    def manifests(self, nodes: Iterable[GraphNode]) -> None:
        """Write these manifests in parallel, see `manifest`."""
        self._pool.run(self.manifest, list(nodes))

    def manifest(self, node: GraphNode) -> None:
        """Write a manifest or index by its digest, if the target does not have it."""
        self._pool.check()
        if not self._target.has_manifest(node.descriptor):
            self._target.write_manifest(node.descriptor, node.document.raw)

    def _blob(self, blob: Descriptor) -> None:
        self._pool.check()
        if self._target.has_blob(blob):
            return self._done(blob, "exists")
        if self._mount(blob):
            return self._done(blob, "mounted")
        # The target cannot retry, because it cannot rewind the stream; here the blob is opened again.
        self._retry.call(lambda: self._send(blob))
        return self._done(blob, "moved")

    def _send(self, blob: Descriptor) -> None:
        with self._source.open_blob(blob) as reader:
            report = _Reported(reader, self._pool.check, lambda done: self._report(blob, done))
            self._target.write_blob(blob, report)

    def _mount(self, blob: Descriptor) -> bool:
        if self._mounting is None or self._originating is None:
            return False
        origins = self._originating.origins(blob.digest)[:_MOUNT_ATTEMPTS]
        return any(self._mounting.mount_blob(blob, origin) for origin in origins)

    def _done(self, blob: Descriptor, how: str) -> None:
        with self._lock:
            self._tally[how] = self._tally.get(how, 0) + blob.size
        self._report(blob, blob.size, "" if how == "moved" else how)

    def _report(self, blob: Descriptor, done: int, note: str = "") -> None:
        self._emit(progress.Transferred(self._unit, blob.digest, done, blob.size, note))


class _Reported:
    """A Readable that reports progress, and raises when the copy has been stopped. It owns nothing."""

    def __init__(self, content: Readable, check: Callable[[], None], report: Callable[[int], None]) -> None:
        self._content = content
        self.verifies: Descriptor | None = getattr(content, "verifies", None)  # see `place.Verifying`
        self._check = check
        self._report = report
        self._done = 0
        self._reported = 0

    def read(self, size: int = -1, /) -> bytes:
        """See `place.Readable`."""
        self._check()
        chunk = self._content.read(min(size, _LARGEST_READ))
        self._done += len(chunk)
        if self._done - self._reported >= _REPORT_EVERY:
            self._reported = self._done
            self._report(self._done)
        return chunk
