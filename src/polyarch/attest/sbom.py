"""`sbom`: find the packages of an image in any place, for each platform. Nothing is run and nothing is unpacked."""

import re
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from polyarch import progress
from polyarch.attest.bill import BillPackage, Distribution
from polyarch.attest.document import Sbom
from polyarch.attest.licenses import DeclaredLicense, declared
from polyarch.attest.purl import purl
from polyarch.contents.inventory import inventory as inventories
from polyarch.contents.inventory import npm
from polyarch.contents.inventory.component import Component, InventoryFile
from polyarch.contents.inventory.inventory import Inventory
from polyarch.errors import ConflictError, NotFoundError
from polyarch.images.check import sources
from polyarch.images.check.collect import CheckedMember, chosen, collect
from polyarch.layers.listing import KEPT, Listing
from polyarch.layers.tree import Tree, TreeNode
from polyarch.oci.place import Source
from polyarch.oci.platform import Platform
from polyarch.transfer.locate import Places

if TYPE_CHECKING:
    from polyarch.oci.descriptor import Descriptor
    from polyarch.oci.digest import Digest
    from polyarch.store import Store

_CREATED = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)")
_EPOCH = "1970-01-01T00:00:00Z"


def sbom(
    places: Places,
    text: str,
    platforms: Sequence[Platform] | None,
    *,
    default: bool = False,
    epoch: int | None = None,
    emit: progress.Emit = progress.ignore,
) -> tuple[Sbom, ...]:
    """The packages of the image that `text` names, as for `check`. `platforms` are the wanted ones, None for all.

    If they are only a `default`, an image for a single platform need not be for them. `epoch` (seconds since 1970) is
    the time of the documents; by default it is that of the image. Raises NotFoundError for an unknown image or
    platform, CorruptError for a damaged one, UsageError, RegistryError.
    """
    with sources.opened(text, places) as place:
        called = place.called or place.name
        found = _wanted(place.source, place.source.resolve(place.name), called, platforms, default)
        return bills(place.source, called, found, places.store, epoch=epoch, emit=emit)


def _wanted(
    source: Source, root: "Descriptor", called: str, platforms: Sequence[Platform] | None, default: bool
) -> list[CheckedMember]:
    """The images to read. An image that cannot be read is an error if all are wanted: it would be missing silently."""
    images, problems = collect(source, root)
    unreadable = [problem for problem in problems if problem.rule in ("blob-missing", "damaged")]
    if platforms is None and unreadable:
        platform = unreadable[0].platform or "one platform"
        raise NotFoundError(
            f"the image of {called} for {platform} cannot be read: {unreadable[0].message}",
            "--platform names the platforms to read",
        )
    if not images:
        why = "; ".join(problem.message for problem in unreadable) or "there are no images"
        raise NotFoundError(f"no image can be read: {why}", "'polyarch check' shows the problems")
    if platforms is None or (default and len(images) == 1 and not unreadable):
        return images
    wanted = [chosen(images, platform, called) for platform in platforms]
    return list({member.descriptor.digest: member for member in wanted}.values())


def bills(
    source: Source,
    name: str,
    images: Sequence[CheckedMember],
    store: "Store | None",
    *,
    epoch: int | None = None,
    emit: progress.Emit = progress.ignore,
) -> tuple[Sbom, ...]:
    """The bill of each image. Layers that several images share are read once. Raises as `sbom`."""
    taken = inventories.take_all(source, [layer for image in images for layer in image.layers], store, emit)
    return tuple(_bill(name, image, [taken[layer.blob.digest] for layer in image.layers], epoch) for image in images)


def _bill(name: str, image: CheckedMember, layers: "Sequence[tuple[Listing, Inventory]]", epoch: int | None) -> Sbom:
    contents = _ImageContents(layers, [layer.diff_id for layer in image.layers])
    distribution = contents.distribution()
    packages: dict[str, BillPackage] = {}
    references: dict[str, str] = {}
    notes: list[str] = []
    for node, file in contents.files():
        notes += [f"/{_shown(node.entry.path)}: {_shown(note)}" for note in file.notes]
        for component in file.components:
            license_ = contents.license(component)
            found = _package(component, node, contents, distribution, license_)
            references |= license_.references
            known = packages.get(found.purl)
            if known is not None:
                found = BillPackage(
                    **{field: getattr(known, field) for field in known.__struct_fields__ if field != "paths"},
                    paths=tuple(sorted({*known.paths, *found.paths})),
                )
            packages[found.purl] = found
    ordered = sorted(packages.values(), key=lambda one: (one.kind, one.name, one.version, one.purl))
    return Sbom(
        name=name,
        digest=image.descriptor.digest,
        platform=image.platform,
        created=_time(epoch, image.config.document.get("created")),
        distribution=distribution,
        packages=tuple(ordered),
        licenses=references,
        notes=tuple(notes),
    )


def _package(
    component: Component,
    node: TreeNode,
    contents: "_ImageContents",
    distribution: Distribution,
    license_: DeclaredLicense,
) -> BillPackage:
    return BillPackage(
        kind=component.ecosystem,
        name=component.name,
        version=component.version,
        purl=purl(component, distribution),
        license=license_.expression,
        supplier=component.supplier,
        homepage=component.homepage,
        paths=(f"/{_shown(node.entry.path)}",),
        layer=contents.added(component, node),
        group=component.group,
    )


class _ImageContents:
    """One image, flattened, with the inventories of its layers. Raises CorruptError if the layers are contradictory."""

    def __init__(self, layers: "Sequence[tuple[Listing, Inventory]]", diff_ids: "Sequence[Digest]") -> None:
        self._listings = [listing for listing, _ in layers]
        self._inventories = [inventory for _, inventory in layers]
        self._diff_ids = diff_ids
        self._tree = Tree(self._listings)
        # Where each layer has a file that was read.
        self._offsets = [
            {entry.path: entry.offset for entry in listing.entries if entry.offset in inventory.files}
            for listing, inventory in layers
        ]

    def files(self) -> Iterator[tuple[TreeNode, InventoryFile]]:
        """The files of package managers that are in the flattened image. A lock file only counts without node_modules
        beside it: otherwise these are what is installed.
        """
        for node in self._tree.select(lambda node: self._file(node) is not None):
            path = node.entry.path
            file = self._file(node)
            if file is not None and inventories.is_read(node.source):
                directory = path.rpartition("/")[0]
                if not npm.is_lock(path) or self._tree.lookup(f"{directory}/node_modules".lstrip("/")) is None:
                    yield node, file

    def license(self, component: Component) -> DeclaredLicense:
        """The license of a package. That of a Debian package is in a file of its documentation."""
        if component.ecosystem != "deb":
            return declared(component.licenses)
        node = self._follow(f"usr/share/doc/{component.name}/copyright")
        file = self._file(node) if node is not None else None
        return declared(file.licenses if file is not None else (), debian=True)

    def distribution(self) -> Distribution:
        """The distribution, from os-release(5)."""
        for path in ("etc/os-release", "usr/lib/os-release"):
            node = self._follow(path)
            if node is not None and node.layer >= 0 and node.source.path in KEPT:
                raw = self._listings[node.layer].texts.get(node.source.path, b"")
                lines = [line.partition("=") for line in raw.decode("utf-8", "replace").split("\n")]
                values = {name.strip(): value.strip().strip("\"'") for name, _, value in lines}
                if values.get("ID"):
                    return Distribution(values["ID"], values.get("VERSION_ID", ""))
        return Distribution()

    def added(self, component: Component, node: TreeNode) -> "Digest":
        """The diff id of the layer that added a package to a database: lower layers may have the same one already."""
        layer = node.layer
        for lower in range(node.layer - 1, -1, -1):
            offset = self._offsets[lower].get(node.source.path)
            if offset is not None:
                if component not in self._inventories[lower].files[offset].components:
                    break
                layer = lower
        return self._diff_ids[layer]

    def _file(self, node: TreeNode) -> InventoryFile | None:
        if node.layer < 0 or node.entry.kind != "file":
            return None
        return self._inventories[node.layer].files.get(node.source.offset)

    def _follow(self, path: str) -> TreeNode | None:
        try:
            return self._tree.lookup(self._tree.resolve(path))
        except ConflictError:
            return None


def _time(epoch: int | None, created: object) -> str:
    """The time of a document, as SPDX wants it: without fractions."""
    if epoch is not None:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    match = _CREATED.fullmatch(created) if isinstance(created, str) else None
    return f"{match[1]}Z" if match else _EPOCH


def _shown(text: str) -> str:
    """A text that UTF-8 can hold: names of files may be any bytes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
