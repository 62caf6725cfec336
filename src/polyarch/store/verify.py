"""Verify a whole store: every byte of every blob, every name, every reference. Problems are values."""

import os
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci import digest as digests
from polyarch.oci import referrer
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.store import disk
from polyarch.store.blobs import Blobs
from polyarch.store.manifests import KINDS, Manifests, children
from polyarch.store.tags import Tags

_CHUNK = 1 << 20

# corrupt: the bytes have another digest. absent: a tag's graph names a blob that is not here (which a base image
# whose layers were never needed may do). size: two places disagree on the size of a blob. malformed: a blob
# that should be a manifest is not one. stray: a file that is not a blob.
Kind = Literal["corrupt", "absent", "size", "malformed", "stray", "index"]


class StoreProblem(msgspec.Struct, frozen=True, kw_only=True):
    """One problem: its kind, the blob or file, a sentence that describes it, and the tags that are affected."""

    kind: Kind
    subject: str
    message: str
    tags: tuple[str, ...] = ()


class StoreVerifier:
    """Reads the whole of a store."""

    def __init__(self, blobs: Blobs, manifests: Manifests, tags: Tags) -> None:
        self._blobs = blobs
        self._manifests = manifests
        self._tags = tags

    def problems(self, progress: Callable[[int], None] | None = None) -> Iterator[StoreProblem]:
        """Yield every problem as it is found: first those of blobs, then those of tags. `progress` is called with the
        size of each blob that was read.
        """
        yield from self._strays()
        corrupt: set[Digest] = set()
        for digest, status in self._blobs.all():
            found = self._hash(digest)
            if found is not None and found != digest:
                corrupt.add(digest)
                yield StoreProblem(
                    kind="corrupt", subject=digest, message=f"{digest} is corrupt: its bytes have {found}"
                )
            if progress is not None:
                progress(status.st_size)
        yield from self._references(corrupt)

    def repair(self, problem: StoreProblem) -> bool:
        """Remove corrupt content. Returns whether that was possible. See `Maintenance.repair`."""
        if problem.kind == "index":
            self._restore_index()
            return True
        if problem.kind not in ("corrupt", "stray"):
            return False
        path = self._blobs.layout.blob(Digest(problem.subject)) if problem.kind == "corrupt" else problem.subject
        with disk.explained("repair the store", path):
            try:
                os.unlink(path)
            except FileNotFoundError:
                return False
        return True

    def _restore_index(self) -> None:
        """Keep, without names, the images that no index in the store names."""
        documents = list(self._manifests.all())
        named = {child.digest for document in documents for child in children(document)}
        there = {document.digest for document in documents}
        free = [document for document in documents if document.digest not in named]
        self._tags.restore(
            [document.descriptor() for document in free if document.subject not in there],
            [(document.subject, referrer.entry(document)) for document in free if document.subject in there],
        )

    def _hash(self, digest: Digest) -> str | None:
        hasher = digests.hasher(digest)
        try:
            with open(self._blobs.layout.blob(digest), "rb", buffering=0) as file:
                while chunk := file.read(_CHUNK):
                    hasher.update(chunk)
        except FileNotFoundError:
            return None  # collected in the meantime
        return f"{digests.algorithm(digest)}:{hasher.hexdigest()}"

    def _strays(self) -> Iterator[StoreProblem]:
        blobs = self._blobs.layout.blobs
        for algorithm in sorted(os.listdir(blobs)):
            with os.scandir(f"{blobs}/{algorithm}") as entries:
                for entry in entries:
                    named = digests.is_digest(f"{algorithm}:{entry.name}")
                    if not named or not entry.is_file(follow_symlinks=False):
                        yield StoreProblem(kind="stray", subject=entry.path, message=f"{entry.path} is not a blob")

    def _references(self, corrupt: set[Digest]) -> Iterator[StoreProblem]:
        try:
            entries = self._tags.entries()
        except CorruptError as error:
            yield StoreProblem(kind="index", subject=self._blobs.layout.index, message=error.message)
            return
        roots: dict[Digest, list[str]] = {}
        nodes: dict[Digest, Descriptor] = {}
        about = (entry for listed in entries.referrers.values() for entry in listed)
        for name, entry in [*entries.named.items(), *(("", entry) for entry in (*entries.unnamed, *about))]:
            roots.setdefault(entry.digest, []).extend([name] if name else [])
            nodes[entry.digest] = entry
        reported: set[tuple[Digest, int]] = set()
        for digest, names in roots.items():
            for problem, descriptor in self._graph(nodes[digest], corrupt):
                if (descriptor.digest, descriptor.size) not in reported:
                    reported.add((descriptor.digest, descriptor.size))
                    yield msgspec.structs.replace(problem, tags=tuple(sorted(names)))

    def _graph(self, root: Descriptor, corrupt: set[Digest]) -> Iterator[tuple[StoreProblem, Descriptor]]:
        pending, seen = [root], set[tuple[Digest, int]]()
        while pending:
            node = pending.pop(0)
            if (node.digest, node.size) in seen:
                continue
            seen.add((node.digest, node.size))
            kind, message = self._fault(node, corrupt)
            if kind is not None:
                yield StoreProblem(kind=kind, subject=node.digest, message=message), node
            elif node.media_type in KINDS and node.digest not in corrupt:
                try:
                    pending.extend(children(self._manifests.load(node)))
                except NotFoundError:
                    continue  # collected in the meantime
                except CorruptError as error:
                    yield StoreProblem(kind="malformed", subject=node.digest, message=error.message), node

    def _fault(self, node: Descriptor, corrupt: set[Digest]) -> tuple[Kind | None, str]:
        size = self._blobs.size(node.digest)
        if size is None:
            return "absent", f"{node.digest} ({node.media_type}) is not in the store"
        if node.digest in corrupt:
            return "corrupt", f"{node.digest} ({node.media_type}) is corrupt"
        if size != node.size:
            return "size", f"{node.digest} has {size} bytes, what names it says {node.size}"
        return None, ""
