"""The flattened image of one platform, with facts about its files, for the rules."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import msgspec

from polyarch.contents.binaries import Binary
from polyarch.contents.facts import Facts
from polyarch.errors import ConflictError
from polyarch.images.check.findings import Finding, Severity
from polyarch.layers.listing import Listing
from polyarch.layers.tree import Tree, TreeNode
from polyarch.oci.config import ImageConfig
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform

if TYPE_CHECKING:
    from polyarch.contents.packages import Package, PackageList

# The label of an image with patterns of files whose findings are ignored.
ALLOW_LABEL = "org.polyarch.check.allow"


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A layer of an image: the digest of its blob, its history entry, its listing and its facts."""

    blob: Digest
    step: str
    listing: Listing
    facts: Facts


class View:
    """One image of one platform. Immutable, but caches what it computes.

    Raises CorruptError if the layers contradict each other.
    """

    def __init__(
        self, platform: Platform, config: ImageConfig, layers: Sequence[Known], allow: Sequence[str] = ()
    ) -> None:
        self.platform = platform
        self.config = config
        self.layers = tuple(layers)
        self.tree = Tree([layer.listing for layer in layers])
        label = config.labels.get(ALLOW_LABEL, "")
        self._allow = (*allow, *str(label).replace(",", " ").split())
        self._binaries: dict[str, Binary] | None = None

    @property
    def binaries(self) -> dict[str, Binary]:
        """Files that can be run or loaded, by path, sorted."""
        if self._binaries is None:
            binaries = {}
            for node in self.tree.walk():
                binary = self.binary(node)
                if binary is not None:
                    binaries[node.entry.path] = binary
            self._binaries = binaries
        return self._binaries

    def binary(self, node: TreeNode | None) -> Binary | None:
        """The binary at a node; None if it is not one."""
        if node is None or node.layer < 0 or node.entry.kind != "file":
            return None
        return self.layers[node.layer].facts.binaries.get(node.source.offset)

    def follow(self, path: str) -> TreeNode | None:
        """The node at `path` after following links; None if there is none, or the links form a circle."""
        try:
            return self.tree.lookup(self.tree.resolve(path))
        except ConflictError:
            return None

    def text(self, path: str) -> str:
        """The text of a configuration file for library paths; empty if there is none."""
        node = self.follow(path)
        if node is None or node.layer < 0:
            return ""
        return self.layers[node.layer].facts.texts.get(node.source.offset, "")

    def packages(self) -> Iterator["Package"]:
        """The packages in all databases of the image, and those that are known by the names of files."""
        from polyarch.contents import packages

        for node in self.tree.walk():
            if node.entry.path.endswith((".dist-info", ".gemspec")):
                package = packages.of_path(node.entry.path)
                if package is not None:
                    yield package
            elif (listed := self._listed(node)) is not None:
                yield from listed.packages

    def unread_packages(self) -> Iterator[str]:
        """What could not be read in databases of packages, and why."""
        for node in self.tree.walk():
            listed = self._listed(node)
            if listed is not None:
                yield from (f"/{node.entry.path}: {note}" for note in listed.notes)

    def _listed(self, node: TreeNode) -> "PackageList | None":
        if node.entry.kind != "file" or node.layer < 0:
            return None
        return self.layers[node.layer].facts.packages.get(node.source.offset)

    def allows(self, path: str) -> bool:
        """Whether findings about `path` are ignored. A pattern that matches a directory applies to everything below."""
        return any(
            fnmatchcase(path, pattern) or fnmatchcase(path, f"{pattern}/*")
            for pattern in (allowed.strip("/") for allowed in self._allow)
            if pattern
        )

    def finding(self, rule: str, severity: Severity, message: str, path: str = "") -> Finding:
        """A finding about this image, and about the file at `path` in it."""
        node = self.tree.lookup(path) if path else None
        layer = self.layers[node.layer] if node is not None and node.layer >= 0 else None
        return Finding(
            rule=rule,
            severity=severity,
            message=message,
            platform=str(self.platform),
            path=f"/{path}" if path else "",
            layer=layer.blob if layer is not None else Digest(""),
            step=layer.step if layer is not None else "",
        )


def steps(config: ImageConfig, count: int) -> tuple[str, ...]:
    """The history entry of each of `count` layers; empty strings if the history does not match."""
    lines = [line.created_by or line.comment for line in config.history if not line.empty_layer]
    return tuple(lines) if len(lines) == count else ("",) * count
