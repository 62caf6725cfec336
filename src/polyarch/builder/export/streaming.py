"""Layers that are sent to the registry before the image is complete, if the registry is on this machine: while they are
being made, or while steps of other platforms run.

Other registries are first asked whether they have the layer, so that nothing is sent twice over a slow connection. That
needs the digest, which is known only when the layer is complete. A small layer is not sent early either: that takes a
request more, the registry works longer for it, and the copier sends several layers at the same time.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from polyarch.builder.vertices import VertexId
from polyarch.contents.layer import Layer
from polyarch.errors import PolyarchError
from polyarch.oci.digest import Digest

if TYPE_CHECKING:
    from polyarch.builder.request.output import Export
    from polyarch.oci.place import Source
    from polyarch.registry import Registry, Repository, Upload
    from polyarch.store import Store

# A layer up to this size, in bytes, is sent when it is complete.
_SMALL = 2 << 20
_CHUNK = 1 << 20

# Begins an upload to the registry that the layers of the result will go to; None if they are not uploaded early.
Uploads = Callable[[], "Upload | None"]


def no_upload() -> None:
    """An `Uploads` for results that are not uploaded early."""


class RegistryUploads:
    """`Uploads` to the one registry that the result goes to, if that registry is on this machine."""

    def __init__(self, registry: "Registry", export: "Export") -> None:
        self._registry = registry
        self._export = export

    def __call__(self) -> "Upload | None":
        target = self.target()
        return None if target is None else target.upload()

    def target(self) -> "Repository | None":
        """The repository that the layers of the result go to; None if they are not sent early."""
        from polyarch.registry.hosts import is_loopback

        export = self._export
        if len(export.names) != 1 or all(output.kind != "registry" for output in export.outputs):
            return None
        reference = export.names[0].tagged()
        return self._registry.repository(reference) if is_loopback(reference.domain) else None


class EarlyLayers:
    """The new layers of a platform whose steps are done, packed and sent while steps of other platforms run.

    Under emulation, one platform may take ten times as long as another. Owns its threads, until `close`. Errors are
    ignored: the export makes and sends what is missing, and raises them.
    """

    def __init__(
        self,
        images: Iterable[Iterable[VertexId]],
        pack: Callable[[Layer], Layer],
        source: "Source",
        uploads: RegistryUploads,
        stopped: Callable[[], bool],
    ) -> None:
        """`images` are the layers of each platform, lowest first. `pack` makes the blob of a layer, which `source` then
        has. Sending ends when `stopped` returns True.
        """
        self._images = [tuple(image) for image in images]
        self._pack = pack
        self._source = source
        self._uploads = uploads
        self._stopped = stopped
        self._lock = threading.Lock()
        # The layers that each image still waits for, and those that were made.
        self._missing: list[set[VertexId]] = [set() for _ in self._images]
        self._made: dict[VertexId, Layer] = {}
        self._threads: list[threading.Thread] = []

    def expect(self, pending: Iterable[VertexId]) -> None:
        """Take note of the vertices that will be performed. Called once, before any of them is."""
        todo = frozenset(pending)
        self._missing = [set(todo.intersection(image)) for image in self._images]

    def made(self, vertex: VertexId, layer: Layer) -> None:
        """Take note of a layer. If it is the last of an image, but not of all, that image's layers are sent."""
        with self._lock:
            self._made[vertex] = layer
            for image, missing in zip(self._images, self._missing, strict=True):
                if vertex not in missing:
                    continue
                missing.remove(vertex)
                if not missing and any(self._missing):
                    new = [self._made[each] for each in image if each in self._made]
                    self._threads.append(threading.Thread(target=self._send, args=(new,), name="polyarch-early"))
                    self._threads[-1].start()

    def _send(self, layers: Sequence[Layer]) -> None:
        from polyarch.transfer import copy as copier

        with suppress(PolyarchError, OSError):
            blobs = [self._pack(layer).as_blob().blob for layer in layers]
            target = self._uploads.target()
            if target is not None:
                copier.send_blobs(self._source, target, blobs, (), copier.CopyOptions(stopped=self._stopped))

    def close(self) -> None:
        """Wait until what was begun has ended."""
        for thread in self._threads:
            thread.join()


class StreamedBlob:
    """A blob that is being made, in the store and perhaps in a registry. A context manager: `keep` makes it permanent.

    An error of the registry is ignored: the copier will find that the blob is missing and send it.
    """

    def __init__(self, store: "Store", uploads: Uploads) -> None:
        self._opened = ExitStack()
        self._writer = self._opened.enter_context(store.new_blob())
        try:
            self._upload = uploads()
        except PolyarchError:
            self._upload = None
        if self._upload is not None:
            self._opened.enter_context(self._upload)
        self._is_sent = False

    def write(self, data: bytes, /) -> None:
        """Add `data`. The caller computes the digest."""
        self._writer.append(data)
        if self._upload is None:
            return
        try:
            if self._is_sent:
                self._upload.write(data)
            elif self._writer.size > _SMALL:
                self._is_sent = True
                self._send_beginning(self._upload)
        except PolyarchError:
            self._upload = None

    def _send_beginning(self, upload: "Upload") -> None:
        """Send what was written so far. It is in the store, so that it need not be held."""
        with open(self._writer.path, "rb") as file:
            while chunk := file.read(_CHUNK):
                upload.write(chunk)

    def keep(self, digest: Digest) -> None:
        """Store the blob under its digest."""
        self._writer.keep(digest)
        if self._upload is not None and self._is_sent:
            try:
                self._upload.commit(digest)
            except PolyarchError:
                self._upload = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()
