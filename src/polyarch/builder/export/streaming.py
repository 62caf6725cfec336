"""A layer that is sent to the registry while it is being made, if the registry is on this machine.

Other registries are first asked whether they have the layer, so that nothing is sent twice over a slow connection. That
needs the digest, which is known only when the layer is complete. A small layer is not sent early either: three requests
take longer than making it, and the copier sends several layers at the same time.
"""

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from polyarch.errors import PolyarchError
from polyarch.oci.digest import Digest

if TYPE_CHECKING:
    from polyarch.builder.request.output import Export
    from polyarch.registry import Registry, Upload
    from polyarch.store import Store

# A layer up to this size, in bytes, is sent when it is complete.
_SMALL = 1 << 20

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
        from polyarch.registry.hosts import is_loopback

        export = self._export
        if len(export.names) != 1 or all(output.kind != "registry" for output in export.outputs):
            return None
        reference = export.names[0].tagged()
        return self._registry.repository(reference).upload() if is_loopback(reference.domain) else None


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
        # The beginning, until there is more than fits a small layer.
        self._held: list[bytes] | None = []
        self._size = 0

    def write(self, data: bytes, /) -> None:
        """Add `data`. The caller computes the digest."""
        self._writer.append(data)
        if self._upload is None:
            return
        if self._held is not None:
            self._held.append(data)
            self._size += len(data)
            if self._size <= _SMALL:
                return
            data, self._held = b"".join(self._held), None
        try:
            self._upload.write(data)
        except PolyarchError:
            self._upload = None

    def keep(self, digest: Digest) -> None:
        """Store the blob under its digest."""
        self._writer.keep(digest)
        if self._upload is not None and self._held is None:
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
