"""`diff`: compare two images by config, packages and files."""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from polyarch import progress
from polyarch.contents import reading
from polyarch.contents.layer import LayerBlob
from polyarch.images.check import sources
from polyarch.images.check.collect import chosen
from polyarch.images.check.view import View
from polyarch.images.compare import rows
from polyarch.images.compare.drift import listed_packages
from polyarch.images.compare.rows import Row
from polyarch.images.compare.views import members, views
from polyarch.oci.digest import Digest
from polyarch.oci.place import Readable, Source
from polyarch.oci.platform import Platform
from polyarch.transfer.locate import Places

if TYPE_CHECKING:
    from polyarch.images.check.collect import CheckedMember
    from polyarch.layers.tree import TreeNode
    from polyarch.store import Store

_CHUNK = 1 << 20
Change = Literal["added", "removed", "changed"]


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """A file that only one image has, or that differs. `what` are the changes of a changed file."""

    change: Change
    path: str
    what: tuple[str, ...] = ()


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two images."""

    name: str
    platform: Platform
    digest: Digest


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """The differences between the image `before` and the image `after`."""

    before: Side
    after: Side
    rows: tuple[Row, ...]
    files: tuple[FileChange, ...]


class _Opened(msgspec.Struct, frozen=True, kw_only=True):
    side: Side
    source: Source
    member: "CheckedMember"
    view: View


def diff(
    places: Places,
    before: str,
    after: str,
    wanted: tuple[Platform | None, Platform | None],
    host: Platform,
    emit: progress.Emit = progress.ignore,
) -> Diff:
    """Compare two images, named as for `check`, on the platforms `wanted`.

    The default platform is the host's, or the first one of `before` that both images have. Raises NotFoundError,
    UsageError.
    """
    with sources.opened(before, places) as one, sources.opened(after, places) as two:
        both = (one, two)
        candidates = [members(place.source, place.source.resolve(place.name)) for place in both]
        default = common(candidates[0], candidates[1], host)
        opened = [
            _open(place.source, place.called, chosen(images, platform or default, place.called), places.store, emit)
            for place, images, platform in zip(both, candidates, wanted, strict=True)
        ]
        return _compared(*opened)


def compare(
    source: Source, before: tuple[str, "CheckedMember"], after: tuple[str, "CheckedMember"], store: "Store | None"
) -> Diff:
    """As `diff`, for two images of one source, each with its name."""
    return _compared(*(_open(source, name, member, store, progress.ignore) for name, member in (before, after)))


def _open(source: Source, name: str, member: "CheckedMember", store: "Store | None", emit: progress.Emit) -> _Opened:
    (view,) = views(source, [member], store, emit)
    side = Side(name=name, platform=member.platform, digest=member.descriptor.digest)
    return _Opened(side=side, source=source, member=member, view=view)


def _compared(left: _Opened, right: _Opened) -> Diff:
    return Diff(
        before=left.side,
        after=right.side,
        rows=(
            *rows.of_configs([left.member.config, right.member.config]),
            *rows.differing("package", [listed_packages(left.view), listed_packages(right.view)]),
        ),
        files=tuple(_files(left, right)),
    )


def common(before: "Sequence[CheckedMember]", after: "Sequence[CheckedMember]", host: Platform) -> Platform:
    """The host's platform if both images have it, else the first that both have, else the host's."""
    theirs = [member.platform for member in after]
    shared = [member.platform for member in before if member.platform in theirs]
    return host if host in shared or not shared else shared[0]


def _files(left: _Opened, right: _Opened) -> list[FileChange]:
    """The files that differ, sorted. Times are ignored: they differ in every build."""
    mine = {node.entry.path: node for node in left.view.tree.walk() if node.entry.path}
    theirs = {node.entry.path: node for node in right.view.tree.walk() if node.entry.path}
    changes: dict[str, FileChange] = {}
    doubtful: list[str] = []
    for path in sorted(mine.keys() | theirs.keys()):
        one, two = mine.get(path), theirs.get(path)
        if one is None or two is None:
            changes[path] = FileChange(change="removed" if two is None else "added", path=f"/{path}")
            continue
        what = _entries(one, two)
        if what:
            changes[path] = FileChange(change="changed", path=f"/{path}", what=what)
        if (
            one.entry.kind == two.entry.kind == "file"
            and one.entry.size == two.entry.size > 0
            and _origin(left, one) != _origin(right, two)
        ):
            doubtful.append(path)
    contents = [_hashes(left, [mine[path] for path in doubtful]), _hashes(right, [theirs[path] for path in doubtful])]
    for path in doubtful:
        if contents[0][_origin(left, mine[path])] != contents[1][_origin(right, theirs[path])]:
            known = changes.get(path)
            what = ("content", *(known.what if known is not None else ()))
            changes[path] = FileChange(change="changed", path=f"/{path}", what=what)
    return [changes[path] for path in sorted(changes)]


def _entries(one: "TreeNode", two: "TreeNode") -> tuple[str, ...]:
    """The differences between two entries, except for their content."""
    mine, theirs = one.entry, two.entry
    if mine.kind != theirs.kind:
        return (f"{mine.kind} → {theirs.kind}",)
    parts = (
        ("size", mine.size, theirs.size),
        ("mode", f"{mine.mode:04o}", f"{theirs.mode:04o}"),
        ("owner", f"{mine.uid}:{mine.gid}", f"{theirs.uid}:{theirs.gid}"),
        ("link", mine.link, theirs.link),
        ("device", f"{mine.major}:{mine.minor}", f"{theirs.major}:{theirs.minor}"),
        ("xattrs", ", ".join(name for name, _ in mine.xattrs), ", ".join(name for name, _ in theirs.xattrs)),
    )
    differences = [f"{field} {a or 'none'} → {b or 'none'}" for field, a, b in parts if a != b]
    if mine.xattrs != theirs.xattrs and not any(part.startswith("xattrs") for part in differences):
        differences.append("xattrs")
    return tuple(differences)


def _origin(side: _Opened, node: "TreeNode") -> tuple[Digest, int]:
    """Where a file's bytes are. Files with the same origin have the same content."""
    return (side.member.layers[node.layer].diff_id, node.source.offset)


def _hashes(side: _Opened, nodes: "Sequence[TreeNode]") -> dict[tuple[Digest, int], bytes]:
    """The digests of files. Each layer is read once."""
    hashes: dict[tuple[Digest, int], bytes] = {}
    layers: dict[int, dict[int, TreeNode]] = {}
    for node in nodes:
        layers.setdefault(node.layer, {})[node.source.offset] = node
    for number, wanted in layers.items():
        layer: LayerBlob = side.member.layers[number]
        listing = side.view.layers[number].listing
        entries = [node.source for node in wanted.values()]
        for entry, content in reading.read_files(side.source, layer, listing, entries):
            hashes[layer.diff_id, entry.offset] = _digest(content)
    return hashes


def _digest(content: Readable) -> bytes:
    hashed = hashlib.sha256()
    while chunk := content.read(_CHUNK):
        hashed.update(chunk)
    return hashed.digest()
