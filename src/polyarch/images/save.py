"""`save`: write images to an archive for `docker load`, podman, skopeo or `polyarch load`."""

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
    images: Sequence[str],
    output: "LayerSink",
    *,
    platforms: tuple[Platform, ...] | None = None,
    form: Literal["docker", "oci"] = "docker",
    preferred: Platform | None = None,
    emit: progress.Emit = progress.ignore,
) -> None:
    """Write images, given by name or id, to `output`, for these platforms, None for all.

    With some platforms of an index, the archive holds an index of those; with one platform, only its image. The form
    "docker" is an OCI layout that also has docker's manifest.json, for old engines. Of an image for several platforms,
    manifest.json lists the one for `preferred`. Layers that were never downloaded are fetched. All images are looked
    up before anything is written. Raises NotFoundError, CorruptError, RegistryError.
    """
    named = [names.find(store, text) for text in images]
    for image in named:
        names.require_here(store, image)
    writer = ArchiveWriter(output, docker=form == "docker", preferred=preferred)
    source = ReadThroughSource(store, registry, fetch_manifests=False)
    for text, image in zip(images, named, strict=True):
        unit = f"save {text}"
        with progress.reported(emit, unit, f"save {text}", platforms or ()):
            # As with docker, an image that was given by id is saved without a name.
            name = "" if image.by_id else image.name
            copier.send(
                source,
                image.descriptor.digest if image.by_id else image.name,
                writer,
                (name,),
                # Readers of archives fail on an index whose images are not all in the archive.
                copier.CopyOptions(platforms=platforms, sparse=False, lone=True, unit=unit),
                emit,
            )
    writer.finish()
    for warning in writer.warnings():
        emit(progress.Warned(warning))
