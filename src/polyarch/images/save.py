"""`save`: images of the store as an archive, for `docker load`, podman, skopeo, or `polyarch load`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from polyarch import progress
from polyarch.images import names
from polyarch.oci.platform import Platform
from polyarch.transfer import copy as copier
from polyarch.transfer.archive import ArchiveWriter
from polyarch.transfer.read_through import ReadThroughSource

if TYPE_CHECKING:
    from polyarch.layers.pack import LayerSink
    from polyarch.registry import Registry
    from polyarch.store import Store


def save(
    store: "Store",
    registry: "Registry",
    texts: Sequence[str],
    output: "LayerSink",
    *,
    platforms: tuple[Platform, ...] | None = None,
    form: Literal["docker", "oci"] = "docker",
    preferred: Platform | None = None,
    emit: progress.Emit = progress.ignore,
) -> None:
    """Write the images that `texts` call to `output`, for these platforms, None for all.

    Of an index, just what is written is named: for some of its platforms an index of those, for one that image alone.
    The docker form is an OCI layout with docker's manifest.json beside it, which old engines read: for `preferred`
    where an image is for several platforms. Layers that were never downloaded are fetched. All names are found
    before anything is written. Raises NotFoundError, CorruptError, RegistryError.
    """
    found = [names.find(store, text) for text in texts]
    for image in found:
        names.require_here(store, image)
    writer = ArchiveWriter(output, docker=form == "docker", preferred=preferred)
    source = ReadThroughSource(store, registry, fetch_manifests=False)
    for text, image in zip(texts, found, strict=True):
        unit = f"save {text}"
        with progress.reported(emit, unit, f"save {text}", platforms or ()):
            # Called by id, the image goes without a name, as with docker.
            kept = "" if image.by_id else image.name
            copier.send(
                source,
                image.descriptor.digest if image.by_id else image.name,
                writer,
                (kept,),
                # Readers of archives fail at an index whose images are not in the archive.
                copier.CopyOptions(platforms=platforms, sparse=False, lone=True, unit=unit),
                emit,
            )
    writer.finish()
    for warning in writer.warnings():
        emit(progress.Warned(warning))
