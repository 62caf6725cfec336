"""Manifests and indexes: blobs that name others."""

import contextlib
from collections.abc import Iterator

from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.oci.verify import verified
from polyarch.store.blobs import REPAIR, Blobs

KINDS = media_types.INDEXES | media_types.MANIFESTS


class Manifests:
    """The manifests and indexes among the blobs of a store."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the store has the manifest. What it names may be missing: see `missing`."""
        return self._blobs.has(descriptor)

    def read(self, descriptor: Descriptor) -> bytes:
        """The verified bytes, which are leased with everything that they name. Raises NotFoundError, CorruptError."""
        if descriptor.size > documents.MAX_SIZE:
            raise CorruptError(f"the manifest {descriptor.digest} claims {descriptor.size} bytes")
        with self._blobs.lock:
            self._blobs.lease.add(descriptor.digest)
            return self.peek_bytes(descriptor)

    def load(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest or index itself. Raises NotFoundError, CorruptError."""
        return documents.load(self.read(descriptor), descriptor.media_type)

    def peek(self, descriptor: Descriptor) -> Manifest | Index:
        """As `load`, but without a lease: for use while the store is locked exclusively. Raises NotFoundError,
        CorruptError.
        """
        return documents.load(self.peek_bytes(descriptor), descriptor.media_type)

    def write(self, descriptor: Descriptor, raw: bytes) -> None:
        """Store a manifest that has this descriptor. Raises CorruptError if it does not match, or is not a manifest."""
        verified(raw, descriptor)
        documents.load(raw, descriptor.media_type)
        if self._blobs.has(descriptor) and self._is_whole(descriptor):
            return
        with self._blobs.new() as writer:
            writer.append(raw)
            writer.keep(descriptor.digest)

    def describe(self, digest: Digest) -> Descriptor:
        """The descriptor of a manifest in the store. Raises NotFoundError if it is absent or not a manifest."""
        document = self.find(digest)
        if document is None:
            raise NotFoundError(f"the store has no image {digest}")
        self._blobs.lease.add(digest)
        return Descriptor(media_type=document.media_type, digest=digest, size=len(document.raw))

    def find(self, digest: Digest) -> Manifest | Index | None:
        """The manifest of this digest; None if the blob is absent or something else. Raises CorruptError."""
        size = self._blobs.size(digest)
        if size is None or size > documents.MAX_SIZE:
            return None
        path = self._blobs.layout.blob(digest)
        try:
            with open(path, "rb") as file:
                # There are many large layers, and configs are JSON too: the first byte and the fields tell manifests
                # from them.
                if file.read(1) != b"{":
                    return None
                file.seek(0)
                raw = file.read()
        except FileNotFoundError:
            return None
        try:
            fields = documents.decode(raw).keys()
        except CorruptError:
            fields = {}.keys()
        if not fields & {"manifests", "config", "layers"} or "rootfs" in fields or "schemaVersion" not in fields:
            return None
        verified(raw, Descriptor("", digest, size), "the store")
        return documents.load(raw)

    def all(self) -> Iterator[Manifest | Index]:
        """Every intact manifest and index in the store, tagged or not."""
        for digest, _ in self._blobs.all():
            with contextlib.suppress(CorruptError):  # `verify` reports it
                if (document := self.find(digest)) is not None:
                    yield document

    def missing(self, descriptor: Descriptor) -> tuple[Descriptor, ...]:
        """The missing parts of the graph below `descriptor`, each once, parents before what they name. The parts below
        a missing manifest are unknown.
        """
        absent: list[Descriptor] = []
        pending, seen = [descriptor], set[Digest]()
        while pending:
            node = pending.pop(0)
            if node.digest in seen:
                continue
            seen.add(node.digest)
            if not self._blobs.has(node):
                absent.append(node)
            elif node.media_type in KINDS:
                pending.extend(children(self.load(node)))
        return tuple(absent)

    def _is_whole(self, descriptor: Descriptor) -> bool:
        try:
            self.peek_bytes(descriptor)
        except (CorruptError, NotFoundError):
            return False
        return True

    def peek_bytes(self, descriptor: Descriptor) -> bytes:
        """As `read`, but without a lease. Raises NotFoundError, CorruptError."""
        digests.parse(descriptor.digest)
        try:
            with open(self._blobs.layout.blob(descriptor.digest), "rb", buffering=0) as file:
                raw = file.read(descriptor.size + 1)
        except FileNotFoundError:
            raise NotFoundError(f"the store has no manifest {descriptor.digest}") from None
        return verified(raw or b"", descriptor, "the store", REPAIR)


def children(document: Manifest | Index) -> tuple[Descriptor, ...]:
    """The descriptors in a manifest or index, in its order, with the config first."""
    if isinstance(document, Index):
        return document.manifests
    return (document.config, *document.layers)
