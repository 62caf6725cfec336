"""Choose one image of an index: for the requested platform, or else for the host, as docker does."""

from collections.abc import Iterator

import msgspec

from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci import config as configs
from polyarch.oci import document as documents
from polyarch.oci import platform as platforms
from polyarch.oci.config import ImageConfig
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Index, Manifest
from polyarch.oci.place import Source
from polyarch.oci.platform import Platform
from polyarch.transfer import select


class ChosenImage(msgspec.Struct, frozen=True, kw_only=True):
    """The chosen image: the descriptor of its manifest, the manifest, its config and its platform."""

    descriptor: Descriptor
    manifest: Manifest
    config: ImageConfig
    platform: Platform


def read_document(source: Source, descriptor: Descriptor) -> Manifest | Index:
    """The manifest or index that `descriptor` points at. Raises NotFoundError, CorruptError."""
    return documents.load(source.read_manifest(descriptor), descriptor.media_type)


def read_config(source: Source, manifest: Manifest) -> ImageConfig:
    """The config of an image. Raises CorruptError for the manifest of an artifact."""
    if not manifest.is_image:
        kind = manifest.artifact_type or manifest.config.media_type
        raise CorruptError(f"{manifest.digest} is not an image but an artifact of type {kind}")
    if manifest.config.size > documents.MAX_SIZE:
        raise CorruptError(f"{manifest.digest} claims a config of {manifest.config.size} bytes")
    with source.open_blob(manifest.config) as reader:
        return configs.load(reader.read())


def choose(source: Source, name: str, root: Descriptor, wanted: Platform | None, host: Platform) -> ChosenImage:
    """The image of `root` for the platform `wanted`, or else for `host`.

    If `root` is a single image, it is chosen, unless it is not for `wanted`. Raises NotFoundError that lists the
    platforms of the image.
    """
    document = read_document(source, root)
    if isinstance(document, Manifest):
        config = read_config(source, document)
        if wanted is not None and not platforms.serves(config.platform, wanted):
            raise NotFoundError(f"{name} is not for {wanted}", f"it is only for {config.platform}")
        return ChosenImage(descriptor=root, manifest=document, config=config, platform=config.platform)
    entry = select.select(source, document, wanted or host)
    if entry is None:
        hint = f"it is for {select.describe(source, document)}"
        if wanted is None:
            hint += "; choose one with --platform"
        raise NotFoundError(f"{name} has no image for {wanted or host}", hint)
    return _entry(source, name, entry)


def any_of(source: Source, name: str, root: Descriptor, wanted: Platform | None, host: Platform) -> ChosenImage:
    """As `choose`, but if no platform is requested, any image will do: for showing, not for running."""
    if wanted is not None:
        return choose(source, name, root, wanted, host)
    document = read_document(source, root)
    if isinstance(document, Manifest):
        return choose(source, name, root, None, host)
    preferred = select.select(source, document, host)
    for entry in _from_best(source, document, preferred):
        try:
            return _entry(source, name, entry)
        except NotFoundError:
            continue
    raise NotFoundError(f"none of the images of {name} is in the store", f"'polyarch pull {name}' fetches one")


def _from_best(source: Source, index: Index, preferred: Descriptor | None) -> Iterator[Descriptor]:
    """The entries, the preferred one first. The others are read only if they are needed."""
    if preferred is not None:
        yield preferred
    yield from (leaf.entry for leaf in select.leaves(source, index) if leaf.entry != preferred)


def _entry(source: Source, name: str, entry: Descriptor) -> ChosenImage:
    try:
        document = read_document(source, entry)
    except NotFoundError as error:
        raise NotFoundError(
            f"{name} has an image for {entry.platform}, but it is not in the store",
            f"'polyarch pull --platform {entry.platform} {name}' fetches it",
        ) from error
    if not isinstance(document, Manifest):
        raise CorruptError(f"{name} has an index where the image for {entry.platform} should be")
    config = read_config(source, document)
    return ChosenImage(
        descriptor=entry,
        manifest=document,
        config=config,
        platform=platforms.normalize(entry.platform or config.platform),
    )
