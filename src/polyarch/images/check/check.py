"""`check`: apply all rules to every platform of an image in any place."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.contents.facts import Learner, learn_all
from polyarch.contents.layer import LayerBlob, layers_of
from polyarch.errors import ConflictError, CorruptError, NotFoundError, PolyarchError, RegistryError
from polyarch.images.check import attestations, command, entries, foreign, libraries, sources
from polyarch.images.check.findings import CheckedImage, Finding, Report, weight
from polyarch.images.check.view import Known, View, steps
from polyarch.oci import index as indexes
from polyarch.oci import media_types
from polyarch.oci import platform as platforms
from polyarch.oci.config import ImageConfig
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.oci.place import Source
from polyarch.oci.platform import Platform
from polyarch.transfer import choose
from polyarch.transfer import graph as graphs
from polyarch.transfer.locate import Places
from polyarch.transfer.read_through import ReadThroughSource

if TYPE_CHECKING:
    from polyarch.store import Store

_MAX_DEPTH = 4
_RULES = (foreign.findings, command.findings, libraries.findings)


class CheckOptions(msgspec.Struct, frozen=True):
    """What to check: these `platforms`, all if empty. Findings about files that match a pattern in `allow` are ignored.

    `workers` is the number of layers that are read in parallel.
    """

    platforms: tuple[Platform, ...] = ()
    allow: tuple[str, ...] = ()
    workers: int = 4


class CheckedMember(msgspec.Struct, frozen=True, kw_only=True):
    """One image of an index or name. `entry` is its platform in the index, `platform` that of entry or config."""

    descriptor: Descriptor
    entry: Platform | None
    platform: Platform
    manifest: Manifest
    config: ImageConfig

    @property
    def layers(self) -> tuple[LayerBlob, ...]:
        """Its layers. Raises CorruptError if manifest and config do not match."""
        return layers_of(self.manifest, self.config)


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
    whole: list[CheckedMember] = []
    for member in members:
        findings += entries.of_image(member.entry, member.config, member.platform)
        problems = list(_blobs(source, member))
        findings += problems
        if not problems:
            whole.append(member)
    learner = Learner(source, store, emit)
    learnt = learn_all(learner, [layer for member in whole for layer in member.layers], options.workers)
    images: list[CheckedImage] = []
    for member in whole:
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


def collect(source: Source, root: Descriptor) -> tuple[list[CheckedMember], list[Finding]]:
    """The images below `root`, and findings about indexes and manifests.

    Raises the errors of reading `root` itself.
    """
    document = choose.read_document(source, root)
    if isinstance(document, Manifest):
        config = choose.read_config(source, document)
        return [
            CheckedMember(descriptor=root, entry=None, platform=config.platform, manifest=document, config=config)
        ], []
    members: list[CheckedMember] = []
    findings: list[Finding] = []
    _collect(source, document, members, findings, _MAX_DEPTH)
    return members, findings


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


def _collect(source: Source, index: Index, members: list[CheckedMember], findings: list[Finding], depth: int) -> None:
    images = indexes.images(index)
    findings += [
        Finding(rule="damaged", severity="error", message=f"an entry of the index cannot be read: {reason}")
        for reason in index.unreadable
    ]
    findings += entries.of_index([entry for entry in images if entry.media_type not in media_types.INDEXES])
    for entry in images:
        shown = str(platforms.normalize(entry.platform)) if entry.platform is not None else ""
        document, problem = _read(source, entry, shown)
        if problem is not None:
            findings.append(problem)
        if isinstance(document, Index):
            if depth:
                _collect(source, document, members, findings, depth - 1)
            else:
                message = f"indexes are nested more than {_MAX_DEPTH} levels deep"
                findings.append(Finding(rule="damaged", severity="error", message=message))
        elif document is not None and document.is_image:
            try:
                config = choose.read_config(source, document)
            except (CorruptError, NotFoundError) as error:
                findings.append(_unreadable(error, "config", shown))
                continue
            except RegistryError as error:
                findings.append(_out_of_reach(source, error, "config", shown))
                continue
            members.append(
                CheckedMember(
                    descriptor=entry,
                    entry=entry.platform,
                    platform=platforms.normalize(entry.platform or config.platform),
                    manifest=document,
                    config=config,
                )
            )


def _read(source: Source, entry: Descriptor, shown: str) -> tuple[Manifest | Index | None, Finding | None]:
    """The document of an entry, even if the size in the entry is wrong, and a finding if there is a problem."""
    try:
        return choose.read_document(source, entry), None
    except NotFoundError as error:
        return None, _unreadable(error, f"manifest {entry.digest}", shown)
    except RegistryError as error:
        return None, _out_of_reach(source, error, "image", shown)
    except CorruptError as error:
        try:
            actual = source.resolve(entry.digest)
            if actual.size == entry.size:
                return None, _unreadable(error, f"manifest {entry.digest}", shown)
            message = f"the manifest {entry.digest} has {actual.size} bytes, the index says {entry.size}"
            mismatch = Finding(rule="size-mismatch", severity="error", message=message, platform=shown)
            return choose.read_document(source, actual), mismatch
        except (NotFoundError, CorruptError):
            return None, _unreadable(error, f"manifest {entry.digest}", shown)


def _out_of_reach(source: Source, error: RegistryError, what: str, platform: str) -> Finding:
    """A warning for content that is not in the store, and that the registry cannot deliver now.

    Raises the error itself if the image is in the registry.
    """
    if not isinstance(source, ReadThroughSource) or not source.stored:
        raise error
    message = f"the {what} is not in the store, and could not be checked: {error.message}"
    return Finding(rule="blob-missing", severity="warning", message=message, platform=platform)


def _unreadable(error: PolyarchError, what: str, platform: str) -> Finding:
    absent = isinstance(error, NotFoundError)
    return Finding(
        rule="blob-missing" if absent else "damaged",
        severity="error",
        message=f"the {what} is missing: {error.message}" if absent else f"the {what}: {error.message}",
        platform=platform,
    )


def _blobs(source: Source, member: CheckedMember) -> Iterator[Finding]:
    """Findings about blobs that are missing or have another size."""
    try:
        _ = member.layers
    except PolyarchError as error:
        yield _unreadable(error, "image", str(member.platform))
    lines = steps(member.config, len(member.manifest.layers))
    for number, blob in enumerate((member.manifest.config, *member.manifest.layers)):
        what, step = ("config", "") if not number else (f"layer {number}", lines[number - 1])
        if graphs.is_elsewhere(blob):
            continue  # registries need not have it; reading the layer shows whether it is available
        try:
            state = sources.condition(source, blob)
        except RegistryError as error:
            yield _out_of_reach(source, error, what, str(member.platform))
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
