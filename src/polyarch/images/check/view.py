"""The flattened image of one platform with what is known of its files: what the rules ask."""

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
    from polyarch.contents.packages import Package

# Patterns of files whose findings are meant to be so, in an image's own words.
ALLOW_LABEL = "org.polyarch.check.allow"


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A layer of an image: its blob's digest, the line of history that made it, listing and facts."""

    blob: Digest
    step: str
    listing: Listing
    facts: Facts


class View:
    """One image of one platform. It does not change; it keeps what it has worked out.

    Raises CorruptError where the layers contradict each other.
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
        """What could be run or loaded, by path, sorted."""
        if self._binaries is None:
            found = {}
            for node in self.tree.walk():
                binary = self.binary(node)
                if binary is not None:
                    found[node.entry.path] = binary
            self._binaries = found
        return self._binaries

    def binary(self, node: TreeNode | None) -> Binary | None:
        """What a node is to a machine; None for what is nothing to it."""
        if node is None or node.layer < 0 or node.entry.kind != "file":
            return None
        return self.layers[node.layer].facts.binaries.get(node.source.offset)

    def follow(self, path: str) -> TreeNode | None:
        """What `path` leads to, links followed; None where there is nothing, or links go in a circle."""
        try:
            return self.tree.lookup(self.tree.resolve(path))
        except ConflictError:
            return None

    def text(self, path: str) -> str:
        """The text of a file that says where libraries are; empty where there is none."""
        node = self.follow(path)
        if node is None or node.layer < 0:
            return ""
        return self.layers[node.layer].facts.texts.get(node.source.offset, "")

    def packages(self) -> Iterator["Package"]:
        """The packages of all lists of the image, and those that directories stand for."""
        from polyarch.contents import packages

        for node in self.tree.walk():
            if node.entry.kind == "directory" and node.entry.path.endswith(".dist-info"):
                found = packages.of_directory(node.entry.path)
                if found is not None:
                    yield found
            elif node.entry.kind == "file" and node.layer >= 0:
                yield from self.layers[node.layer].facts.packages.get(node.source.offset, ())

    def allows(self, path: str) -> bool:
        """Whether a pattern allows what is at `path` to be as it is; one that names a directory allows all below."""
        return any(
            fnmatchcase(path, pattern) or fnmatchcase(path, f"{pattern}/*")
            for pattern in (one.strip("/") for one in self._allow)
            if pattern
        )

    def finding(self, rule: str, severity: Severity, message: str, path: str = "") -> Finding:
        """A finding of this image; `path` is in it, and is shown as a container sees it."""
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
    """For each of `count` layers the line of history that made it; empty where the history does not fit."""
    lines = [line.created_by or line.comment for line in config.history if not line.empty_layer]
    return tuple(lines) if len(lines) == count else ("",) * count
