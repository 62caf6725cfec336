"""What a page shows of an image: its platforms, and what is wrong with them, as far as no layer is needed for that."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from polyarch.contents import listings
from polyarch.errors import CorruptError, NotFoundError, PolyarchError
from polyarch.images.check import check as checking
from polyarch.images.check.collect import CheckedMember, collect
from polyarch.images.check.findings import Finding, Severity
from polyarch.oci import media_types
from polyarch.oci import platform as platforms
from polyarch.oci.config import ImageConfig
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.page import address as addresses
from polyarch.page.source import StoredImages
from polyarch.transfer import select

if TYPE_CHECKING:
    from polyarch.store import Store

Health = Literal["ok", "warning", "error", "absent"]
# A page is for people, and an index of 4 MiB has some 20,000 entries. An attestation is an entry, too.
_MOST = 200
MOST_ENTRIES = 1000


class PlatformImage(msgspec.Struct, frozen=True, kw_only=True):
    """One platform of an image.

    `slug` is the platform in the address of its page; empty if that needs the digest. `manifest` and `config` are None
    if the store lacks them or they are damaged. `size` is of config and layers in bytes, `unpacked` of the tars, None
    if that is not known.
    """

    entry: Descriptor
    platform: str
    slug: str
    manifest: Manifest | None = None
    config: ImageConfig | None = None
    size: int = 0
    unpacked: int | None = None
    created: str = ""

    @property
    def digest(self) -> Digest:
        """The digest of its manifest."""
        return self.entry.digest


class ShownImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image with its platforms, in the order of its index. `hidden` is how many entries were left out.

    `findings` are problems of the index, the manifests and the configs.
    """

    root: Descriptor
    document: Manifest | Index
    platforms: tuple[PlatformImage, ...] = ()
    findings: tuple[Finding, ...] = ()
    hidden: int = 0

    @property
    def index(self) -> Index | None:
        """The index; None for a single image or artifact."""
        return self.document if isinstance(self.document, Index) else None

    @property
    def artifact(self) -> Manifest | None:
        """The manifest of something that is not an image; None for an image or index."""
        return self.document if isinstance(self.document, Manifest) and not self.document.is_image else None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How a platform, or the index, is: the worst of its findings, and how many there are of each severity."""

    health: Health
    errors: int = 0
    warnings: int = 0
    notes: int = 0


def read(source: StoredImages, root: Descriptor) -> ShownImage:
    """The image of a descriptor. Raises NotFoundError, CorruptError for the root itself."""
    document = source.store.peek(root)
    if isinstance(document, Manifest) and not document.is_image:
        return ShownImage(root=root, document=document)
    try:
        members, findings = collect(source, root, MOST_ENTRIES)
    except PolyarchError as error:
        if isinstance(document, Index):
            raise
        damaged = Finding(rule="damaged", severity="error", message=error.message)
        only = PlatformImage(entry=root, platform="", slug="", manifest=document)
        return ShownImage(root=root, document=document, platforms=(only,), findings=(damaged,))
    seen = checking.survey(source, members)
    entries = [root] if isinstance(document, Manifest) else list(_entries(source, document))
    return ShownImage(
        root=root,
        document=document,
        platforms=tuple(_platforms(source.store, entries[:_MOST], members)),
        findings=(*findings, *seen.findings),
        hidden=max(len(entries) - _MOST, 0),
    )


def _entries(source: StoredImages, index: Index) -> Iterator[Descriptor]:
    if len(index.manifests) > MOST_ENTRIES:
        yield from (entry for entry in index.manifests if not entry.is_attestation)
        return
    try:
        yield from (leaf.entry for leaf in select.leaves(source, index))
    except (CorruptError, NotFoundError):
        yield from (entry for entry in index.manifests if entry.media_type in media_types.MANIFESTS)


def _platforms(
    store: "Store", entries: Sequence[Descriptor], members: Iterable[CheckedMember]
) -> Iterator[PlatformImage]:
    known = {member.descriptor.digest: member for member in members}
    taken: set[str] = set()
    for entry in entries:
        member = known.get(entry.digest)
        platform = member.platform if member is not None else entry.platform
        text = str(platforms.normalize(platform)) if platform is not None else ""
        slug = text if addresses.is_platform(text) and text not in taken else ""
        taken.add(slug)
        if member is None:
            yield PlatformImage(entry=entry, platform=text, slug=slug)
            continue
        layers = member.manifest.layers
        yield PlatformImage(
            entry=entry,
            platform=text,
            slug=slug,
            manifest=member.manifest,
            config=member.config,
            size=member.manifest.config.size + sum(layer.size for layer in layers),
            unpacked=unpacked(store, member.manifest, member.config),
            created=str(member.config.document.get("created") or ""),
        )


def unpacked(store: "Store", manifest: Manifest, config: ImageConfig) -> int | None:
    """The size of all layers as tars, in bytes; None if that of one is not known."""
    sizes = unpacked_layers(store, manifest, config)
    return sum(filter(None, sizes)) if None not in sizes else None


def unpacked_layers(store: "Store", manifest: Manifest, config: ImageConfig) -> tuple[int | None, ...]:
    """The size of each layer as a tar, in bytes; None where it is not known.

    It is known for layers that were made here or have been read once: nothing but their bytes tells it.
    """
    if len(config.diff_ids) != len(manifest.layers):
        return (None,) * len(manifest.layers)
    found: list[int | None] = []
    for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True):
        if layer.digest == diff_id:
            found.append(layer.size)
            continue
        listing = listings.find_blocks(store, diff_id)
        found.append(listing.size if listing is not None else None)
    return tuple(found)


def verdict(findings: Iterable[Finding], *, present: bool = True) -> Verdict:
    """How something with these findings is. `present`: whether the store has it at all."""
    counts: dict[Severity, int] = {"error": 0, "warning": 0, "note": 0}
    for finding in findings:
        counts[finding.severity] += 1
    health: Health = "error" if counts["error"] else "warning" if counts["warning"] else "ok"
    if not present:
        health = "absent"
    return Verdict(health=health, errors=counts["error"], warnings=counts["warning"], notes=counts["note"])


def about(image: ShownImage, one: PlatformImage, findings: Iterable[Finding]) -> list[Finding]:
    """The findings about a platform. Those about a platform that several entries have are about each of them."""
    return [finding for finding in findings if image.index is None or finding.platform == one.platform]


def of_platform(image: ShownImage, one: PlatformImage, findings: Iterable[Finding]) -> Verdict:
    """The verdict on one platform."""
    return verdict(about(image, one, findings), present=one.manifest is not None)


def of_index(image: ShownImage, findings: Iterable[Finding]) -> Verdict:
    """The verdict on what concerns no platform alone."""
    names = {one.platform for one in image.platforms}
    return verdict(finding for finding in findings if image.index is not None and finding.platform not in names)
