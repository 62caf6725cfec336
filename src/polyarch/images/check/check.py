"""`check`: apply all rules to every platform of an image in any place."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.contents.facts import Learner, learn_all
from polyarch.contents.layer import LayerBlob
from polyarch.errors import ConflictError, CorruptError, NotFoundError, PolyarchError, RegistryError
from polyarch.images.check import attestations, command, entries, foreign, libraries, sources
from polyarch.images.check.collect import CheckedMember, collect, out_of_reach, unreadable
from polyarch.images.check.findings import CheckedImage, Finding, Report, weight
from polyarch.images.check.view import Known, View, steps
from polyarch.oci import platform as platforms
from polyarch.oci.digest import Digest
from polyarch.oci.place import Source
from polyarch.oci.platform import Platform
from polyarch.transfer import graph as graphs
from polyarch.transfer.locate import Places

if TYPE_CHECKING:
    from polyarch.store import Store

_RULES = (foreign.findings, command.findings, libraries.findings)


class CheckOptions(msgspec.Struct, frozen=True):
    """What to check: these `platforms`, all if empty. Findings about files that match a pattern in `allow` are ignored.

    `workers` is the number of layers that are read in parallel.
    """

    platforms: tuple[Platform, ...] = ()
    allow: tuple[str, ...] = ()
    workers: int = 4


class Survey(msgspec.Struct, frozen=True):
    """Findings that need no layer, and the images whose layers can be read."""

    findings: tuple[Finding, ...]
    whole: tuple[CheckedMember, ...]


def check(
    places: Places, text: str, options: CheckOptions | None = None, emit: progress.Emit = progress.ignore
) -> Report:
    """Check the image that `text` names, in the store, a registry, a layout or an archive.

    Problems of the image are in the report. Raises NotFoundError for an unknown image or platform, UsageError,
    RegistryError.
    """
    with sources.opened(text, places) as place:
        return check_source(place.source, place.name, places.store, options, emit, called=place.called)


def check_source(
    source: Source,
    name: str,
    store: "Store | None",
    options: CheckOptions | None = None,
    emit: progress.Emit = progress.ignore,
    called: str = "",
) -> Report:
    """As `check`, for a name in any place. `store` caches facts about layers; None for no cache."""
    options = options or CheckOptions()
    root = source.resolve(name)
    members, findings = collect(source, root)
    findings += attestations.findings(source, root)
    if options.platforms:
        members = _chosen(members, options.platforms, called or name)
        shown = {str(member.platform) for member in members}
        findings = [finding for finding in findings if not finding.platform or finding.platform in shown]
    seen = survey(source, members)
    findings += seen.findings
    learner = Learner(source, store, emit)
    learnt = learn_all(learner, [layer for member in seen.whole for layer in member.layers], options.workers)
    images: list[CheckedImage] = []
    for member in seen.whole:
        known: list[Known] = []
        lines = steps(member.config, len(member.layers))
        for layer, step in zip(member.layers, lines, strict=True):
            result = learnt[layer.diff_id]
            if isinstance(result, PolyarchError):
                findings.append(_damaged(member, layer, step, result))
            else:
                known.append(Known(blob=layer.blob.digest, step=step, listing=result[0], facts=result[1]))
        if len(known) == len(member.layers):
            findings += look(member, known, options.allow, images)
    return Report(name=called or name, digest=root.digest, images=tuple(images), findings=_sorted(findings, members))


def survey(source: Source, members: Iterable[CheckedMember]) -> Survey:
    """Check these images as far as that is possible without reading a layer."""
    findings: list[Finding] = []
    whole: list[CheckedMember] = []
    for member in members:
        findings += entries.of_image(member.entry, member.config, member.platform)
        problems = list(_blobs(source, member))
        findings += problems
        if not problems:
            whole.append(member)
    return Survey(tuple(findings), tuple(whole))


def look(
    member: CheckedMember, known: Sequence[Known], allow: Iterable[str], images: list[CheckedImage]
) -> Iterator[Finding]:
    """Findings inside one image, given its layers. Adds the image to `images`."""
    try:
        view = View(member.platform, member.config, known, tuple(allow))
    except (CorruptError, ConflictError) as error:
        yield Finding(rule="damaged", severity="error", message=error.message, platform=str(member.platform))
        return
    count = sum(binary.form != "script" for binary in view.binaries.values())
    images.append(
        CheckedImage(platform=member.platform, digest=member.descriptor.digest, binaries=count, layers=len(known))
    )
    for rule in _RULES:
        yield from rule(view)


def _blobs(source: Source, member: CheckedMember) -> Iterator[Finding]:
    """Findings about blobs that are missing or have another size."""
    try:
        _ = member.layers
    except PolyarchError as error:
        yield unreadable(error, "image", str(member.platform))
    lines = steps(member.config, len(member.manifest.layers))
    for number, blob in enumerate((member.manifest.config, *member.manifest.layers)):
        what, step = ("config", "") if not number else (f"layer {number}", lines[number - 1])
        if graphs.is_elsewhere(blob):
            continue  # registries need not have it; reading the layer shows whether it is available
        try:
            state = sources.condition(source, blob)
        except RegistryError as error:
            yield out_of_reach(source, error, what, str(member.platform))
            continue
        if state != "whole":
            missing = state == "missing"
            yield Finding(
                rule="blob-missing" if missing else "size-mismatch",
                severity="error",
                message=f"the {what} {blob.digest} is {state}"
                + ("" if missing else f" than the {blob.size} bytes that the manifest says"),
                platform=str(member.platform),
                layer=blob.digest if number else Digest(""),
                step=step,
            )


def _damaged(member: CheckedMember, layer: LayerBlob, step: str, error: PolyarchError) -> Finding:
    absent = isinstance(error, NotFoundError)
    return Finding(
        rule="blob-missing" if absent else "damaged",
        severity="error",
        message=f"a layer cannot be read: {error.message}",
        platform=str(member.platform),
        layer=layer.blob.digest,
        step=step,
    )


def _chosen(members: list[CheckedMember], wanted: Sequence[Platform], called: str) -> list[CheckedMember]:
    """The images for these platforms. Raises NotFoundError with the platforms that have no image."""
    absent = [
        str(platform) for platform in wanted if not any(platforms.same(member.platform, platform) for member in members)
    ]
    if absent:
        have = ", ".join(str(member.platform) for member in members) or "no image"
        raise NotFoundError(f"{called} has no image for {', '.join(absent)}", f"it is for {have}")
    return [member for member in members if any(platforms.same(member.platform, platform) for platform in wanted)]


def _sorted(findings: Iterable[Finding], members: Sequence[CheckedMember]) -> tuple[Finding, ...]:
    order = {"": -1, **{str(member.platform): number for number, member in enumerate(members)}}
    return tuple(sorted(findings, key=lambda finding: (order.get(finding.platform, len(order)), *weight(finding))))
