"""A build of the history as `buildx history` shows it, with buildx's names of fields (commands/history/inspect.go)."""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from polyarch.builder.history.entry import HistoryEntry, UsedSource
from polyarch.errors import CorruptError, NotFoundError, PolyarchError, UsageError
from polyarch.oci import image_purl
from polyarch.oci import platform as platforms
from polyarch.oci import reference as references
from polyarch.oci.attestation import PREDICATE_TYPE
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.document import Index, Manifest

if TYPE_CHECKING:
    from polyarch.store import Store

# The words for types of attachments, as in --type of `buildx history inspect attachment`.
_TYPES: Mapping[str, tuple[str, ...]] = {
    "index": ("application/vnd.oci.image.index.v1+json",),
    "manifest": ("application/vnd.oci.image.manifest.v1+json",),
    "image": ("application/vnd.oci.image.config.v1+json",),
    "provenance": ("https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"),
    "sbom": ("https://spdx.dev/Document",),
}
# The codes of gRPC, which buildx prints.
_CANCELED, _UNKNOWN = 1, 2
# The options of the frontend that have a field of another name in Config, or of another form.
_OTHER_FIELDS = {"force-network-mode": "Network"}
_OTHER_FORMS = ("add-hosts", "multi-platform", "no-cache")
_ARGUMENTS = {
    "BUILDKIT_CACHE_MOUNT_NS": "CacheMountNS",
    "BUILDKIT_DOCKERFILE_CHECK": "DockerfileCheckConfig",
    "SOURCE_DATE_EPOCH": "SourceDateEpoch",
    "SANDBOX_HOSTNAME": "SandboxHostname",
}


class Attachment(msgspec.Struct, frozen=True):
    """A document that a build made: a statement, an image or an index. `type` is that of a statement's predicate."""

    descriptor: Descriptor
    platform: str

    @property
    def type(self) -> str:
        return self.descriptor.annotations.get(PREDICATE_TYPE, "") or self.descriptor.media_type


def find(entries: Sequence[HistoryEntry], reference: str) -> HistoryEntry:
    """The entry with this id or reference; `^N` is the Nth before the last, nothing the last. Raises NotFoundError."""
    if reference.startswith("^"):
        if not reference[1:].isdigit():
            raise UsageError(f"invalid offset {reference!r}", "as in ^1, the build before the last one")
        number = int(reference[1:])
        if number < len(entries):
            return entries[number]
    elif not reference:
        if entries:
            return entries[0]
        raise NotFoundError("no build is recorded", "'polyarch build' records each build")
    else:
        wanted = reference.rpartition("/")[2]
        found = next((entry for entry in entries if entry.id == wanted), None)
        if found is not None:
            return found
    raise NotFoundError(f"no build is recorded as {reference!r}", "'polyarch buildx history ls' lists the builds")


def name(entry: HistoryEntry) -> str:
    """A short name of what was built, as in `app/other.Dockerfile (target)`."""
    given = entry.inputs.arguments.get("BUILDKIT_BUILD_NAME")
    if given:
        return given
    shown = entry.inputs.context
    if shown.startswith("/"):
        shown = posixpath.basename(shown)
        if entry.inputs.file not in ("", "-", "Dockerfile"):
            shown = posixpath.join(shown, entry.inputs.file.removesuffix("/Dockerfile").lstrip("/"))
    target = f"({entry.inputs.target})" if entry.inputs.target else ""
    return " ".join(filter(None, (shown if shown != "-" else "", target))) or "default"


def row(entry: HistoryEntry) -> dict[str, Any]:
    """The entry as `ls --format json` prints it."""
    return {
        "ref": entry.reference,
        "name": name(entry),
        "status": "Completed" if entry.status == "completed" else "Error",
        "created_at": moment(entry.begun),
        "completed_at": moment(entry.begun + entry.seconds),
        "total_steps": entry.steps.total,
        "completed_steps": entry.steps.done,
        "cached_steps": entry.steps.cached,
    }


def document(entry: HistoryEntry, store: "Store") -> dict[str, Any]:
    """The entry as `inspect --format json` prints it. Empty fields are left out, as there."""
    error = None
    if entry.status != "completed":
        code = _CANCELED if entry.status == "canceled" else _UNKNOWN
        error = {"Code": code, "Message": entry.error} | ({"Name": entry.failed} if entry.failed else {})
    optional: dict[str, Any] = {
        "Context": entry.inputs.context,
        "Dockerfile": entry.inputs.file,
        "VCSRepository": entry.vcs.get("source", ""),
        "VCSRevision": entry.vcs.get("revision", ""),
        "Target": entry.inputs.target,
        "Platform": list(entry.inputs.platforms),
        "NamedContexts": _pairs(entry.inputs.contexts),
        "StartedAt": moment(entry.begun),
        "CompletedAt": moment(entry.begun + entry.seconds),
        "Duration": int(entry.seconds * 1e9),
        "Status": entry.status,
        "Error": error,
    }
    made = attachments(entry, store)
    last = {
        "BuildArgs": _pairs({key: value for key, value in entry.inputs.arguments.items() if key not in _ARGUMENTS}),
        "Labels": _pairs(entry.inputs.labels),
        "Config": _config(entry),
        "Materials": [_material(source) for source in entry.sources],
        "Attachments": [_attachment(one) for one in made],
    }
    return {
        "Name": name(entry),
        "Ref": entry.id,
        **_filled(optional),
        "NumCompletedSteps": entry.steps.done,
        "NumTotalSteps": entry.steps.total,
        "NumCachedSteps": entry.steps.cached,
        **{key: value for key, value in last.items() if value or key == "Config"},
    }


def attachments(entry: HistoryEntry, store: "Store") -> list[Attachment]:
    """What the build made, as far as the store still has it: statements first, then images and their index."""
    return list(_attachments(entry, store)) if entry.root is not None else []


def chosen(found: Sequence[Attachment], digest: str, kind: str, platform: str) -> Attachment:
    """The first attachment with this digest, type and platform; empty for any. Raises NotFoundError, UsageError."""
    if not (digest or kind or platform):
        raise UsageError("an attachment needs --type, --platform or a digest")
    types = _TYPES.get(kind, (kind,))
    for one in found:
        here = not platform or one.platform == str(platforms.parse(platform))
        if here and digest in ("", one.descriptor.digest) and (not kind or one.type in types):
            return one
    raise NotFoundError("the build has no such attachment", "'polyarch buildx history inspect' lists them")


def moment(seconds: float) -> str:
    """A time in RFC 3339."""
    shown = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
    return shown.removesuffix("+00:00") + "Z"


def frontend(entry: HistoryEntry) -> dict[str, str]:
    """The options of BuildKit's frontend that stand for this build."""
    found = {
        **{f"build-arg:{key}": value for key, value in entry.inputs.arguments.items()},
        **{f"label:{key}": value for key, value in entry.inputs.labels.items()},
        **{f"context:{key}": value for key, value in entry.inputs.contexts.items()},
        **{f"vcs:{key}": value for key, value in entry.vcs.items()},
        **entry.inputs.settings,
        "context": entry.inputs.context if "://" in entry.inputs.context else "",
        "filename": entry.inputs.file,
        "platform": ",".join(entry.inputs.platforms),
        "target": entry.inputs.target,
    }
    if found.get("no-cache") == "*":
        found["no-cache"] = ""
        return {key: value for key, value in found.items() if value or key == "no-cache"}
    return {key: value for key, value in found.items() if value}


def _attachments(entry: HistoryEntry, store: "Store") -> Iterator[Attachment]:
    assert entry.root is not None
    root = _load(store, entry.root)
    if not isinstance(root, Index):
        if root is not None:
            yield Attachment(entry.root, entry.inputs.platforms[0] if entry.inputs.platforms else "")
        return
    images: dict[str, str] = {one.digest: str(one.platform or "") for one in root.manifests if not one.is_attestation}
    for one in root.manifests:
        made = _load(store, one) if one.is_attestation else None
        if isinstance(made, Manifest):
            platform = images.get(one.annotations.get("vnd.docker.reference.digest", ""), "")
            yield from (Attachment(layer, platform) for layer in made.layers if store.has_blob(layer))
    yield from (
        Attachment(msgspec.structs.replace(one, platform=None), images[one.digest])
        for one in root.manifests
        if not one.is_attestation
    )
    yield Attachment(entry.root, "")


def _load(store: "Store", descriptor: Descriptor) -> Manifest | Index | None:
    try:
        return store.load(descriptor)
    except (NotFoundError, CorruptError):
        return None


def _attachment(one: Attachment) -> dict[str, str]:
    found = {"Digest": one.descriptor.digest, "Platform": one.platform, "Type": one.type}
    return {key: value for key, value in found.items() if value}


def _material(source: UsedSource) -> dict[str, Any]:
    uri = source.name
    if source.kind == "ImageLayers":
        platform = platforms.parse(source.platforms[0]) if len(source.platforms) == 1 else None
        try:
            uri = image_purl.of(references.parse(source.name), platform)
        except PolyarchError:
            uri = source.name
    return {"URI": uri} | ({"Digests": [source.digest]} if source.digest else {})


def _config(entry: HistoryEntry) -> dict[str, Any]:
    settings = entry.inputs.settings
    found: dict[str, Any] = {
        _OTHER_FIELDS.get(key) or key.title().replace("-", ""): value
        for key, value in settings.items()
        if key not in _OTHER_FORMS
    }
    found["ExtraHosts"] = settings["add-hosts"].split(",") if "add-hosts" in settings else []
    found["MultiPlatform"] = "multi-platform" in settings
    found["NoCache"] = settings.get("no-cache") == "*"
    found["NoCacheFilter"] = [] if found["NoCache"] else list(filter(None, settings.get("no-cache", "").split(",")))
    found |= {field: entry.inputs.arguments.get(key, "") for key, field in _ARGUMENTS.items()}
    return _filled(found)


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [_filled({"Name": key, "Value": value}) for key, value in sorted(values.items())]


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value}
