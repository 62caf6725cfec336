"""`load`: load the images of an archive or a layout into the store."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from polyarch import progress
from polyarch.errors import CorruptError, UsageError
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.platform import Platform
from polyarch.transfer import copy as copier
from polyarch.transfer.compressed import Compacted
from polyarch.transfer.docker_archive import DockerArchive

if TYPE_CHECKING:
    from polyarch.store import Store
    from polyarch.transfer.layout import LayoutSource


class Loaded(msgspec.Struct, frozen=True):
    """An image that was loaded: its full name, empty if the archive does not name it, and its descriptor."""

    name: str
    descriptor: Descriptor


@contextmanager
def opened(
    file: BinaryIO | Path, spool: Callable[[], BinaryIO], where: str
) -> "Iterator[LayoutSource | DockerArchive]":
    """Open an archive (compressed or not, a file or a stream) or the directory of a layout, for the time of a `with`.

    `spool` opens a temporary file for a stream, which messages call `where`. Raises NotFoundError, CorruptError.
    """
    if isinstance(file, Path) and file.is_dir():
        from polyarch.transfer.layout import open_layout

        yield open_layout(file)
        return
    from polyarch.transfer.archive import open_archive, open_path

    archive = open_path(file, spool) if isinstance(file, Path) else open_archive(file, spool, where)
    with archive:
        yield archive


def load(
    store: "Store",
    source: "LayoutSource | DockerArchive",
    platforms: tuple[Platform, ...] | None = None,
    emit: progress.Emit = progress.ignore,
) -> tuple[Loaded, ...]:
    """Store every image of `source`, for these platforms, None for all that the archive has.

    An unnamed image is kept by its digest. Raises NotFoundError, CorruptError.
    """
    place = Compacted(source, store) if isinstance(source, DockerArchive) else source
    images = place.images()
    if not images:
        raise CorruptError(f"{source.where} contains no image", "it may be another kind of archive")
    loaded: list[Loaded] = []
    try:
        for image in images:
            name = _full(image.name, source.where, emit)
            unit = f"load {name or image.descriptor.digest}"
            with progress.reported(emit, unit, unit, platforms or ()):
                options = copier.CopyOptions(platforms=platforms, present_only=platforms is None, unit=unit)
                sent = copier.send(place, image.name or image.descriptor.digest, store, (), options, emit)
            loaded.append(Loaded(name, sent.descriptor))
    finally:
        # All at once: writing one name rewrites the file with all names.
        if loaded:
            store.assign([(image.name, image.descriptor) for image in loaded])
    return tuple(loaded)


def _full(name: str, where: str, emit: progress.Emit) -> str:
    """The full reference for a name in an archive; empty if it is not one, such as the bare tag `latest` of a layout.

    Emits a warning for a name that looks like a reference but is invalid.
    """
    # `<none>:<none>` is how old versions of docker name an unnamed image.
    if ("/" not in name and ":" not in name) or name == "<none>:<none>":
        return ""
    try:
        return str(references.parse(name).tagged())
    except UsageError as error:
        emit(progress.Warned(f"{where}: {error.message}; the image is kept without it"))
        return ""
