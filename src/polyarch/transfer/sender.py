"""Sends the parts of an image from one place to another: blobs, manifests, and the manifests about it."""

import contextlib
import io
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from polyarch import progress
from polyarch.errors import CorruptError, NotFoundError, RegistryError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.place import BlobTarget, Mounting, Originating, Readable, Source, Streaming, Target
from polyarch.oci.retry import Retry
from polyarch.transfer import graph as graphs
from polyarch.transfer.graph import GraphNode, ImageGraph
from polyarch.transfer.pool import WorkerPool

# Imported where it is used: a build that sends nothing starts sooner.
if TYPE_CHECKING:
    from polyarch.oci.reference import Reference
    from polyarch.transfer.referrers import Found

# The number of origins that are tried: each attempt is a round trip.
_MOUNT_ATTEMPTS = 3
_REPORT_EVERY = 1 << 20
# A read from a slow connection returns when it has all bytes, and a copy cannot be stopped before: so read few at once.
_LARGEST_READ = 128 << 10
# Warnings about manifests that were left out; more are counted.
_MOST_NOTES = 5


class BlobSender:
    """Copies single blobs, and counts the bytes."""

    def __init__(
        self, source: Source, target: BlobTarget, pool: WorkerPool, emit: progress.Emit, unit: str, retry: Retry
    ) -> None:
        """`unit` is the id of the unit of work for progress events. `retry` is for a blob that must be sent again."""
        # Blobs that have been read before.
        self.known: dict[Digest, bytes] = {}
        self._source = source
        self._target = target
        self._pool = pool
        self._unit = unit
        self._retry = retry
        self._emit = emit
        self._tally: dict[str, int] = {}
        self._lock = threading.Lock()
        # Checked once, not for each of hundreds of blobs: isinstance with a Protocol checks all of its methods.
        self._mounting = target if isinstance(target, Mounting) else None
        self._originating = source if isinstance(source, Originating) else None
        # See `registry.client.Repository`.
        self._worth: Callable[[Descriptor], bool] | None = getattr(target, "is_worth_asking", None)
        self._take: Callable[[Descriptor], bool] | None = getattr(target, "take_blob", None)

    def count(self, how: str) -> int:
        """The bytes of the blobs that were handled this way: "moved", "mounted" or "exists"."""
        return self._tally.get(how, 0)

    def blobs(
        self,
        blobs: Iterable[Descriptor],
        tables: Iterable[Descriptor],
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        """Copy all blobs, the largest first, because it takes longest. A stream gets them in a fixed order.

        Then tables of contents. A table that is missing, or that the target refuses, is left out. The caller, who
        has to wait, does `meanwhile`.
        """
        if isinstance(self._target, Streaming) and self._target.in_order:
            ordered = sorted(blobs, key=lambda blob: blob.digest)
        else:
            ordered = sorted(blobs, key=lambda blob: -blob.size)
        for blob in ordered:
            self._report(blob, 0)
        parts = [partial(self._blob, blob) for blob in ordered]
        parts += [partial(self._table, table) for table in sorted(tables, key=lambda table: table.digest)]
        self._pool.run(lambda copy: copy(), parts, meanwhile)

    def _table(self, table: Descriptor) -> None:
        self._pool.check()
        with contextlib.suppress(NotFoundError, RegistryError, CorruptError):
            if not self._there(table):
                with self._source.open_blob(table) as reader:
                    self._target.write_blob(table, reader)

    def _blob(self, blob: Descriptor) -> None:
        self._pool.check()
        how = self._there(blob)
        if not how:
            # The target cannot retry, because it cannot rewind the stream; here the blob is opened again.
            self._retry.call(lambda: self._send(blob))
        self._done(blob, how or "moved")

    def _there(self, blob: Descriptor) -> str:
        """How the target has the blob: "exists" or "mounted"; empty if it must be sent."""
        origins = self._origins(blob)
        # For a blob that was never seen in a registry, it is not worth asking a target that is near.
        if origins == () and self._worth is not None and not self._worth(blob):
            return "exists" if self._take is not None and self._take(blob) else ""
        if self._target.has_blob(blob):
            return "exists"
        if self._mounting is None or not origins:
            return ""
        return "mounted" if any(self._mounting.mount_blob(blob, origin) for origin in origins[:_MOUNT_ATTEMPTS]) else ""

    def _origins(self, content: Descriptor) -> "tuple[Reference, ...] | None":
        """The repositories in which the content was seen; None if nothing is known about it."""
        if self._mounting is None or self._originating is None:
            return None
        return self._originating.origins(content.digest)

    def _is_unseen(self, content: Descriptor) -> bool:
        """Whether the target is a registry, and the content was never seen in any."""
        return self._origins(content) == ()

    def _send(self, blob: Descriptor) -> None:
        known = self.known.get(blob.digest)
        with self._source.open_blob(blob) if known is None else io.BytesIO(known) as reader:
            report = _Reported(reader, self._pool.check, lambda done: self._report(blob, done))
            self._target.write_blob(blob, report)

    def _done(self, blob: Descriptor, how: str) -> None:
        with self._lock:
            self._tally[how] = self._tally.get(how, 0) + blob.size
        self._report(blob, blob.size, "" if how == "moved" else how)

    def _report(self, blob: Descriptor, done: int, note: str = "") -> None:
        self._emit(progress.Transferred(self._unit, blob.digest, done, blob.size, note))


class Sender(BlobSender):
    """Copies blobs and manifests."""

    def __init__(
        self, source: Source, target: Target, pool: WorkerPool, emit: progress.Emit, unit: str, retry: Retry
    ) -> None:
        super().__init__(source, target, pool, emit, unit, retry)
        self._documents = target

    def referrers(self, found: "Found | None") -> None:
        """Write these manifests about the image. Warns about those that were left out."""
        if found is None:
            return
        from polyarch.transfer import referrers

        notes = referrers.carry(found, self._documents, self._referrer, self._pool)
        for note in notes[:_MOST_NOTES]:
            self._emit(progress.Warned(note))
        if len(notes) > _MOST_NOTES:
            self._emit(progress.Warned(f"{len(notes) - _MOST_NOTES} more manifests about the image were left out"))

    def _referrer(self, graph: ImageGraph) -> None:
        for blob in graph.blobs:
            self._blob(blob)
        for group in graphs.in_order(graph):
            for node in group:
                self.manifest(node)

    def manifests(self, nodes: Iterable[GraphNode]) -> None:
        """Write these manifests in parallel, see `manifest`."""
        self._pool.run(self.manifest, list(nodes))

    def manifest(self, node: GraphNode) -> None:
        """Write a manifest or index by its digest, if the target does not have it."""
        self._pool.check()
        # A registry is not asked for one that was never seen in any: that would only be a request more.
        if self._is_unseen(node.descriptor) or not self._documents.has_manifest(node.descriptor):
            self._documents.write_manifest(node.descriptor, node.document.raw)


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
