"""Sections of an image that take long to compute the first time: check, drift, diff and packages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from polyarch.errors import NotFoundError, UsageError
from polyarch.images.check import check as checking
from polyarch.images.check.collect import CheckedMember, chosen
from polyarch.images.check.findings import Finding, Group, Report, grouped
from polyarch.images.compare import diff as diffing
from polyarch.images.compare import drift as drifting
from polyarch.images.compare.diff import Diff
from polyarch.images.compare.drift import Drift
from polyarch.images.compare.rows import Kind, Row
from polyarch.images.compare.views import members, views
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import Descriptor
from polyarch.page import order, packages, reading
from polyarch.page.address import PageAddress
from polyarch.page.packages import PackageTable
from polyarch.page.reading import ShownImage
from polyarch.page.source import StoredImages
from polyarch.page.view import Library, PageView, Request, paged

_PARTS: tuple[Kind, ...] = ("config", "env", "label", "port", "volume", "package", "file")
# Rows of one kind on a page.
_ROWS = 500
_PACKAGES = 200
_PACKAGES_IN_FILE = 5000
# Tags that are offered for a comparison. Each is a page if they are written to files.
_OFFERED = 100
_COMPARED = 3


class RowPart(msgspec.Struct, frozen=True):
    """The differences of one kind, and how many were left out."""

    kind: Kind
    rows: tuple[Row, ...]
    total: int

    @property
    def more(self) -> int:
        """How many rows were left out."""
        return self.total - len(self.rows)


def check(library: Library, request: Request) -> PageView:
    """Everything that `check` finds in every platform, by platform."""
    source = library.source(request.address.repository)
    shown = _shown(library, request.address)
    report = library.results.work(
        _check_key(source, shown),
        Report,
        lambda: checking.check_source(source, shown.root.digest, library.store, called=request.address.name),
    )
    binaries = {str(image.platform): image.binaries for image in report.images}
    names = [one.platform for one in shown.platforms]
    groups = grouped_findings(report.findings)
    parts = [("", [group for group in groups if group.first.platform not in names])]
    parts += [(name, [group for group in groups if group.first.platform == name]) for name in dict.fromkeys(names)]
    return PageView(
        template="check.html",
        title=request.language("findings_of", name=request.address.name),
        values={
            "address": request.address,
            "parts": [(name, found) for name, found in parts if name or found],
            "binaries": binaries,
            "verdict": reading.verdict(report.findings),
        },
    )


def known_report(library: Library, repository: str, shown: ShownImage) -> Report | None:
    """The result of `check` for an image of a repository, if it is known."""
    return library.results.known(_check_key(library.source(repository), shown), Report)


def grouped_findings(findings: Iterable[Finding]) -> tuple[Group, ...]:
    """Findings, equal ones about several files as one."""
    return grouped(tuple(findings))


def drift(library: Library, request: Request) -> PageView:
    """What the platforms of an image differ in, all of them or two."""
    source = library.source(request.address.repository)
    shown = _shown(library, request.address)
    names = list(dict.fromkeys(one.platform for one in shown.platforms if one.manifest is not None))
    wanted = [name for key in ("a", "b") if (name := request.query.get(key, "")) in names and name]
    pair = wanted if len(set(wanted)) == 2 else []
    values: dict[str, Any] = {"address": request.address, "names": names, "pair": pair, "result": None, "parts": []}
    if len(names) > 1:
        result = library.results.work(
            ("drift", shown.root.digest, tuple(names), tuple(pair)), Drift, lambda: _drift(source, shown, pair)
        )
        values |= {"result": result, "columns": [*map(str, result.platforms)], "parts": _parts(result.rows)}
    return PageView(template="drift.html", title=request.language("drift_of", name=request.address.name), values=values)


def _drift(source: StoredImages, shown: ShownImage, pair: Sequence[str]) -> Drift:
    images = members(source, shown.root)
    if pair:
        images = [next(image for image in images if str(image.platform) == name) for name in pair]
    return drifting.compare(views(source, images, source.store), shown.root.digest)


def diff(library: Library, request: Request) -> PageView:
    """What two images differ in, on one platform; without another image, the tags that it can be compared with."""
    address, other = request.address, request.address.compared() if request.address.other else None
    if other is None:
        tags = [tag for tag in library.images.tags(address.repository) if not order.is_carrier(tag)]
        others = [address.in_section("diff", tag) for tag in order.ordered(tags) if tag != address.reference]
        most = _COMPARED if request.static else _OFFERED
        values: dict[str, Any] = {"address": address, "others": others[:most], "more": len(others[most:])}
        return PageView(template="compare.html", title=request.language("go_diff"), values=values)
    if not request.visible(other.repository):
        raise NotFoundError(f"there is no repository {other.repository}")
    sides = [(one.name, _resolve(library, one)) for one in (address.image, other)]
    source = library.source(address.repository)
    before, after = (members(source, root) for _, root in sides)
    shared = [str(one.platform) for one in before if any(platforms.same(one.platform, two.platform) for two in after)]
    wanted = request.query.get("platform", "")
    left, right = _pair(before, after, wanted if wanted in shared else "", [name for name, _ in sides])
    result = library.results.work(
        ("diff", left.descriptor.digest, right.descriptor.digest),
        Diff,
        lambda: diffing.compare(source, (sides[0][0], left), (sides[1][0], right), library.store),
    )
    values = {
        "address": address,
        "other": other,
        "result": result,
        "names": [name for name, _ in sides],
        "platforms": [*dict.fromkeys(shared)],
        "parts": _parts(result.rows),
        "files": result.files[:_ROWS],
        "more": max(len(result.files) - _ROWS, 0),
    }
    title = request.language("diff_of", before=sides[0][0], after=sides[1][0])
    return PageView(template="diff.html", title=title, values=values)


def _pair(
    before: Sequence[CheckedMember], after: Sequence[CheckedMember], wanted: str, names: Sequence[str]
) -> tuple[CheckedMember, CheckedMember]:
    """The images to compare: for the wanted platform, or else for the first that both have."""
    platform = diffing.common(before, after, before[0].platform)
    if wanted:
        platform = next(one.platform for one in before if str(one.platform) == wanted)
    return chosen(before, platform, names[0]), chosen(after, platform, names[1])


def package_list(library: Library, request: Request) -> PageView:
    """The packages of all platforms side by side: those that an attached SBOM claims, or those in the layers."""
    shown = _shown(library, request.address)
    source = library.source(request.address.repository)
    attached = packages.has_bill(source, shown.root)
    claimed = attached and request.query.get("from") != "image"
    key = ("packages", shown.root.digest, claimed, _here(source, shown))
    table = library.results.work(key, PackageTable, lambda: _packages(source, request, shown.root, claimed=claimed))
    only = bool(request.query.get("differ"))
    rows = [row for row in table.rows if row.has(request.words) and (row.differs or not only)]
    counts: Mapping[str, int] = dict(zip(table.platforms, table.counts(), strict=True))
    return PageView(
        template="packages.html",
        title=request.language("packages_of", name=request.address.name),
        values={
            "address": request.address,
            "table": table,
            "counts": counts,
            "page": paged(rows, request.number, _PACKAGES_IN_FILE if request.static else _PACKAGES),
            "query": request.query.get("q", "").strip(),
            "only": "1" if only else "",
            "origin": "image" if attached and not claimed else "",
            "attached": attached,
        },
    )


def _packages(source: StoredImages, request: Request, root: Descriptor, *, claimed: bool) -> PackageTable:
    if claimed:
        return packages.claimed(source, root)
    return packages.found(source, root, request.address.name)


def _shown(library: Library, address: PageAddress) -> ShownImage:
    shown = reading.read(library.source(address.repository), _resolve(library, address))
    if shown.artifact is not None:
        raise UsageError(f"{address.name} is an artifact, not an image", "only images have platforms")
    return shown


def _resolve(library: Library, address: PageAddress) -> Descriptor:
    return library.images.resolve(address.repository, address.reference)


def _check_key(source: StoredImages, shown: ShownImage) -> tuple[object, ...]:
    """What a check depends on: the image, which parts of it are here, and what is attached to it."""
    return ("check", shown.root.digest, shown.findings, _here(source, shown))


def _here(source: StoredImages, shown: ShownImage) -> tuple[object, ...]:
    """Which platforms are here, and what refers to the image."""
    digests = [shown.root.digest, *(one.digest for one in shown.platforms)]
    referring = ((digest, *(other.digest for other in source.referrers(digest))) for digest in digests)
    return (*referring, *(one.digest for one in shown.platforms if one.manifest is not None))


def _parts(rows: Sequence[Row]) -> list[RowPart]:
    parts = [(kind, [row for row in rows if row.kind == kind]) for kind in _PARTS]
    return [RowPart(kind, tuple(found[:_ROWS]), len(found)) for kind, found in parts if found]
