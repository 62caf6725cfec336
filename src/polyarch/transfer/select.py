"""Select the images of an index for a platform, including those in nested indexes.

Most indexes list images with their platforms, and nothing has to be read to select one. An entry may also be an index,
and `platform` is optional (image-spec, image-index.md): nested indexes are searched, and for an entry without a
platform the image's config is read. Entries of unknown media types are ignored, as the specification requires.
"""

from collections.abc import Iterable, Iterator

import msgspec

from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci import config as configs
from polyarch.oci import document as documents
from polyarch.oci import index as indexes
from polyarch.oci import media_types
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import REFERENCE_DIGEST, Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.oci.place import Source
from polyarch.oci.platform import Platform
from polyarch.transfer import graph as graphs


class Leaf(msgspec.Struct, frozen=True):
    """An image below an index. `entry` has its platform, if it is known.

    `above` are the digests of the indexes between the root and the image, outermost first. `about` are the
    attestations of the image.
    """

    entry: Descriptor
    above: tuple[Digest, ...] = ()
    about: tuple[Descriptor, ...] = ()

    @property
    def digests(self) -> frozenset[Digest]:
        """Everything below the root that belongs to this image: indexes, the manifest, attestations."""
        return frozenset((*self.above, self.entry.digest, *(entry.digest for entry in self.about)))


class Selection(msgspec.Struct, frozen=True):
    """A selection below a root: the digests of manifests and indexes, and the images."""

    digests: frozenset[Digest]
    leaves: tuple[Leaf, ...] = ()

    @property
    def nested(self) -> bool:
        """Whether some of the images are in nested indexes."""
        return any(leaf.above for leaf in self.leaves)

    def without_attestations(self) -> "Selection":
        """The same images without their attestations."""
        about = {entry.digest for leaf in self.leaves for entry in leaf.about}
        return Selection(self.digests - about, self.leaves)

    def lesser(self, index: Index) -> Index:
        """An index of only the selected images. Images from nested indexes become direct entries."""
        if not self.nested:
            return indexes.keep(index, lambda entry: entry.digest in self.digests)
        entries = (entry for leaf in self.leaves for entry in (leaf.entry, *leaf.about))
        return indexes.create(entries, index.annotations, media_types.OCI_INDEX)


def leaves(source: Source, index: Index, wanted: Platform | None = None) -> tuple[Leaf, ...]:
    """The images of the index in order, for all platforms or those that could serve `wanted`, including nested ones.

    Manifest and config are read only for entries without a platform. Images that the source does not have are left
    out; a missing nested index with a platform stands for its images. Raises CorruptError, RegistryError.
    """
    return tuple(_leaves(source, index, wanted, deep=True))


def choose(source: Source, index: Index, wanted: Iterable[Platform]) -> tuple[Leaf, ...]:
    """The images for these platforms: all images for exactly the platform, or else the best one that serves it.

    Raises NotFoundError that lists the missing and the existing platforms; otherwise as `leaves`.
    """
    chosen: dict[Digest, Leaf] = {}
    lacking: list[str] = []
    for platform in wanted:
        found = _for(source, index, platform)
        if not found:
            lacking.append(str(platform))
        chosen.update((leaf.entry.digest, leaf) for leaf in found)
    if lacking:
        raise NotFoundError(f"there is no image for {', '.join(lacking)}", f"it has {describe(source, index)}")
    return tuple(chosen.values())


def select(source: Source, index: Index, wanted: Platform) -> Descriptor | None:
    """The image that serves a machine of platform `wanted` best, or None. Raises as `leaves`."""
    leaf = _best(_candidates(source, index, wanted), wanted)
    return None if leaf is None else leaf.entry


def describe(source: Source, index: Index) -> str:
    """The platforms of the images, for a message: "linux/amd64, linux/arm64". Raises as `leaves`."""
    shown = (str(leaf.entry.platform or "an entry without a platform") for leaf in leaves(source, index))
    return ", ".join(dict.fromkeys(shown)) or "no image"


def _for(source: Source, index: Index, platform: Platform) -> list[Leaf]:
    candidates = _candidates(source, index, platform)
    exact = [leaf for leaf in candidates if indexes.meant_by(platform)(leaf.entry)]
    if exact:
        return exact
    best = _best(candidates, platform)
    return [] if best is None else [best]


def _candidates(source: Source, index: Index, wanted: Platform) -> list[Leaf]:
    """The images that may serve `wanted`: by the platform of their entry, or if there are none, by their config."""
    declared = list(_leaves(source, index, wanted, deep=False))
    return declared or list(_leaves(source, index, wanted, deep=True))


def _best(candidates: Iterable[Leaf], wanted: Platform) -> Leaf | None:
    ranked = [
        (position, order, leaf)
        for order, leaf in enumerate(candidates)
        if leaf.entry.platform is not None and (position := platforms.rank(leaf.entry.platform, wanted)) is not None
    ]
    return min(ranked, key=lambda choice: choice[:2])[2] if ranked else None


def _leaves(
    source: Source, index: Index, wanted: Platform | None, *, deep: bool, above: tuple[Digest, ...] = ()
) -> Iterator[Leaf]:
    if len(above) > graphs.MAX_DEPTH:
        raise CorruptError(f"indexes are nested more than {graphs.MAX_DEPTH} levels deep")
    about: dict[str, list[Descriptor]] = {}
    for entry in index.manifests:
        if REFERENCE_DIGEST in entry.annotations:
            about.setdefault(entry.annotations[REFERENCE_DIGEST], []).append(entry)
    for entry in indexes.images(index):
        if not _may_serve(entry.platform, wanted):
            continue
        leaf = Leaf(entry, above, tuple(about.get(entry.digest, ())))
        if entry.media_type not in media_types.INDEXES and entry.platform is not None:
            yield leaf
            continue
        if entry.media_type not in media_types.INDEXES and not deep:
            continue
        try:
            document = graphs.read_node(source, entry).document
            if isinstance(document, Index):
                yield from _leaves(source, document, wanted, deep=deep, above=(*above, entry.digest))
                continue
            found = _of_config(source, document, leaf)
        except NotFoundError:
            found = leaf if entry.platform is not None else None
        if found is not None and _may_serve(found.entry.platform, wanted):
            yield found


def _may_serve(platform: Platform | None, wanted: Platform | None) -> bool:
    if platform is None or wanted is None:
        return True
    # A fast check for hundreds of entries: no machine runs images for another system or architecture.
    one, other = platforms.normalize(platform), platforms.normalize(wanted)
    if (one.os, one.architecture) != (other.os, other.architecture):
        return False
    return platforms.rank(platform, wanted) is not None or indexes.is_meant(platform, wanted)


def _of_config(source: Source, manifest: Manifest, leaf: Leaf) -> Leaf | None:
    """The image with the platform of its config; None for an artifact."""
    if not manifest.is_image or manifest.config.size > documents.MAX_SIZE:
        return None
    with source.open_blob(manifest.config) as reader:
        platform = configs.load(reader.read()).platform
    own = platform if platform.architecture else None
    return msgspec.structs.replace(leaf, entry=msgspec.structs.replace(leaf.entry, platform=own))
