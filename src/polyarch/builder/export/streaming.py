"""A layer sent to the registry while it is being made: for a registry on this machine, where sending costs nothing.

Elsewhere a layer is asked for by its digest first, which is known only when it is made: a line that is slow must not
carry what is there already.
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

# Begins an upload to where the layers of the result will go, or says that there is none to be begun.
Uploads = Callable[[], "Upload | None"]


def no_upload() -> None:
    """For results that stay here."""


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
    """A blob in the making, in the store and perhaps in a registry, for `with`: without `keep` nothing is left of it.

    What fails in the registry is no failure: the copier will find that the blob is not there, and send it.
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

    def write(self, data: bytes, /) -> None:
        """Add `data`, which somebody else hashes."""
        self._writer.append(data)
        if self._upload is not None:
            try:
                self._upload.write(data)
            except PolyarchError:
                self._upload = None

    def keep(self, digest: Digest) -> None:
        """Put the blob in its place under its digest."""
        self._writer.keep(digest)
        if self._upload is not None:
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
