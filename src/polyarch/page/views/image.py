"""An image, and one platform of it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from polyarch.images.check.findings import Finding
from polyarch.oci import digest as digests
from polyarch.oci.digest import Digest
from polyarch.page import attached, commands, configuration, history, order, reading
from polyarch.page.address import PageAddress
from polyarch.page.attached import AttachedArtifact
from polyarch.page.commands import PullCommand
from polyarch.page.reading import PlatformImage, ShownImage, Verdict
from polyarch.page.view import Library, PageView, Request
from polyarch.page.views import sections

# Enough for every image that a person wrote.
_MOST = 500
_SAME = 20


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A platform as the page of an image shows it. `share` is its size in percent of the largest platform."""

    address: PageAddress
    image: PlatformImage
    verdict: Verdict
    layers: int
    share: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with an image, at a glance: the names of the platforms with errors, and with warnings only.

    `absent` is how many platforms are not here, `checked` whether the contents were checked, too.
    """

    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    index: Verdict
    absent: int
    checked: bool


class PullGroup(msgspec.Struct, frozen=True):
    """Commands that pull in one way. `way` is "by_tag" or "by_digest", the name of a text."""

    way: str
    commands: tuple[PullCommand, ...]


class Pairs(msgspec.Struct, frozen=True):
    """Names and values, where they come from (the name of a text, or empty), and how many more there are."""

    where: str
    pairs: tuple[tuple[str, str], ...]
    more: int


def image(library: Library, request: Request) -> PageView:
    """An image: its platforms first, then how to get it and what is known of it."""
    root = library.images.resolve(request.address.repository, request.address.reference)
    shown = reading.read(library.source(request.address.repository), root)
    if shown.artifact is not None:
        return _artifact(library, request, shown)
    if shown.index is None:
        return platform(library, request, shown, shown.platforms[0])
    values = {
        **summarized(library, request.address, shown),
        "pulls": _pulls(request, root.digest),
        "same": _same(library, request.address, root.digest),
        "comparable": _comparable(library, request.address),
        "annotations": _annotations(shown, None),
        "attached": _attached(library, request, shown),
    }
    return PageView(template="image.html", title=request.address.name, values=values)


def summarized(library: Library, address: PageAddress, shown: ShownImage) -> dict[str, Any]:
    """What the row of platforms shows, with the results of a check of their contents if there was one."""
    report = sections.known_report(library, address.repository, shown)
    findings = report.findings if report is not None else shown.findings
    cards = _cards(address, shown, findings)
    return {
        "address": address,
        "image": shown,
        "all_findings": findings,
        "cards": cards,
        "summary": Summary(
            errors=tuple(card.image.platform for card in cards if card.verdict.health == "error"),
            warnings=tuple(card.image.platform for card in cards if card.verdict.health == "warning"),
            index=reading.of_index(shown, findings),
            absent=sum(card.verdict.health == "absent" for card in cards),
            checked=report is not None,
        ),
    }


def platform(library: Library, request: Request, shown: ShownImage, one: PlatformImage) -> PageView:
    """One platform of an image: its layers and what made them, its config, and what is attached to it."""
    address = request.address
    values = summarized(library, address.image, shown)
    findings: Sequence[Finding] = values["all_findings"]
    values |= {
        "one": one,
        "card": next(card for card in values["cards"] if card.image is one),
        "findings": sections.grouped_findings(reading.about(shown, one, findings)),
        "pulls": _platform_pulls(request, shown, one),
        "same": _same(library, address, shown.root.digest) if shown.index is None else [],
        "comparable": _comparable(library, address),
        "annotations": _annotations(shown, one),
        "attached": _attached(library, request, shown, one),
    }
    if one.manifest is not None and one.config is not None:
        values |= _contents(library, shown, one)
    return PageView(
        template="platform.html", title=" ".join(filter(None, (address.image.name, one.platform))), values=values
    )


def _contents(library: Library, shown: ShownImage, one: PlatformImage) -> dict[str, Any]:
    assert one.manifest is not None
    assert one.config is not None
    record = history.build_of(library.store, shown.root.digest)
    steps = history.steps_for(record, one.platform) if record is not None else []
    sizes = reading.unpacked_layers(library.store, one.manifest, one.config)
    found = history.lines(one.manifest, one.config, sizes, steps, len(record.platforms) if record is not None else 1)
    return {
        "history": found,
        "largest": max((line.layer.size for line in found.lines if line.layer is not None), default=0) or 1,
        "settings": configuration.settings(one.config),
        "environment": _pairs("", configuration.environment(one.config)),
        "labels": _pairs("", configuration.labels(one.config)),
    }


def _cards(address: PageAddress, shown: ShownImage, findings: Sequence[Finding]) -> tuple[Card, ...]:
    largest = max((one.size for one in shown.platforms), default=0) or 1
    return tuple(
        Card(
            address=_platform_address(address, shown, one),
            image=one,
            verdict=reading.of_platform(shown, one, findings),
            layers=len(one.manifest.layers) if one.manifest is not None else 0,
            share=round(100 * one.size / largest),
        )
        for one in shown.platforms
    )


def _platform_address(address: PageAddress, shown: ShownImage, one: PlatformImage) -> PageAddress:
    """The page of a platform: by its name if the index has one of that name, else by the digest of its image."""
    if shown.index is None:
        return address
    return address.for_platform(one.slug) if one.slug else address.by_digest(one.digest)


def _artifact(library: Library, request: Request, shown: ShownImage) -> PageView:
    assert shown.artifact is not None
    manifest = shown.artifact
    values = {
        "address": request.address,
        "image": shown,
        "kind": manifest.artifact_type or manifest.config.media_type,
        "layers": manifest.layers[:_MOST],
        "more": max(len(manifest.layers) - _MOST, 0),
        "pulls": [
            PullGroup(way, commands.downloads(request.host, name)) for way, name in _ways(request, shown.root.digest)
        ],
        "same": _same(library, request.address, shown.root.digest),
        "annotations": _annotations(shown, None),
        "attached": _attached(library, request, shown),
    }
    return PageView(template="artifact.html", title=request.address.name, values=values)


def _ways(request: Request, digest: Digest) -> list[tuple[str, str]]:
    """How an image can be named, each with the name of a text that says so."""
    ways = [("by_digest", request.pulled(request.address.by_digest(digest)))]
    if not digests.is_digest(request.address.reference):
        ways.insert(0, ("by_tag", request.pulled(request.address.image)))
    return ways


def _pulls(request: Request, digest: Digest) -> list[PullGroup]:
    return [PullGroup(way, commands.pulls(request.host, name)) for way, name in _ways(request, digest)]


def _platform_pulls(request: Request, shown: ShownImage, one: PlatformImage) -> list[PullGroup]:
    """By tag, the platform must be named. Its digest names it already."""
    chosen = one.platform if shown.index is not None else ""
    return [
        PullGroup(way, commands.pulls(request.host, name, chosen if way == "by_tag" else "", whole=False))
        for way, name in _ways(request, one.digest)
    ]


def _comparable(library: Library, address: PageAddress) -> bool:
    """Whether the repository has a second image to compare with."""
    return len(library.images.tags(address.repository)) > 1


def _same(library: Library, address: PageAddress, digest: Digest) -> list[PageAddress]:
    """Other tags of the repository that point at the same image."""
    tags = library.images.tags(address.repository)
    same = [tag for tag, other in tags.items() if other.digest == digest and tag != address.reference]
    return [PageAddress(repository=address.repository, reference=tag) for tag in order.ordered(same)[:_SAME]]


def _annotations(shown: ShownImage, one: PlatformImage | None) -> list[Pairs]:
    """The annotations of an index, or of one platform: of its entry and its manifest."""
    found: list[tuple[str, Mapping[str, str]]] = []
    if one is None:
        found.append(("index" if shown.index is not None else "manifest", shown.document.annotations))
    else:
        found.append(("index_entry", one.entry.annotations if shown.index is not None else {}))
        found.append(("manifest", one.manifest.annotations if one.manifest is not None else {}))
    return [_pairs(where, sorted(notes.items())) for where, notes in found if notes]


def _attached(
    library: Library, request: Request, shown: ShownImage, one: PlatformImage | None = None
) -> list[tuple[AttachedArtifact, PageAddress]]:
    """What is attached to an image, or to one platform of it, each with its page."""
    found = attached.find(library.source(request.address.repository), shown.root)
    wanted = [artifact for artifact in found if one is None or artifact.image == one.digest]
    return [(artifact, request.address.by_digest(artifact.descriptor.digest)) for artifact in wanted[:_MOST]]


def _pairs(where: str, pairs: Iterable[tuple[str, str]]) -> Pairs:
    """The first rows, and how many more there are."""
    listed = tuple(pairs)
    return Pairs(where, listed[:_MOST], max(len(listed) - _MOST, 0))
