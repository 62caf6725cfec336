"""Builds of the history as a `.dockerbuild` file: a gzip-compressed tar of an OCI layout, as buildx writes it
(util/desktop/bundle). Each build is a manifest whose config is the record of BuildKit's history.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from polyarch.builder.history import inspection
from polyarch.builder.history.entry import HistoryEntry
from polyarch.builder.history.inspection import Attachment
from polyarch.layers.compression import Compression
from polyarch.oci import descriptor as descriptors
from polyarch.oci import digest as digests
from polyarch.oci import media_types
from polyarch.oci.descriptor import Descriptor
from polyarch.transfer import layout
from polyarch.transfer.tarball import Compressing, TarWriter

if TYPE_CHECKING:
    from polyarch.store import Store

_RECORD = "application/vnd.buildkit.historyrecord.v0"
_REFERENCE = "vnd.buildkit.history.reference"
# A document gets another type, so that readers do not look for its children; its own is in this annotation.
_MEDIA_TYPE = "vnd.export-build.descriptor.mediatype"


class BundledBuild(msgspec.Struct, frozen=True):
    """A build to be written, with the state that buildx keeps beside it: the target and the paths on this machine."""

    entry: HistoryEntry
    state: dict[str, Any]
    group: dict[str, Any]


def write(output: BinaryIO, builds: Sequence[BundledBuild], store: "Store", default_platform: str) -> None:
    """Write these builds. What they made is included as far as the store still has it."""
    compressing = Compressing(output, Compression())
    tar = TarWriter(compressing)
    tar.add_bytes(layout.MARKER, layout.VERSION)
    writer = _BundleWriter(tar, store)
    manifests = [writer.build(build, default_platform) for build in builds]
    if len(manifests) == 1:
        root = manifests[0]
    else:
        named = [
            descriptors.to_dict(msgspec.structs.replace(one, annotations={_REFERENCE: build.entry.id}))
            for one, build in zip(manifests, builds, strict=True)
        ]
        index = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": named}
        root = writer.json(media_types.OCI_INDEX, index)
    found = {"schemaVersion": 2, "mediaType": media_types.OCI_INDEX, "manifests": [descriptors.to_dict(root)]}
    tar.add_bytes(layout.INDEX, msgspec.json.encode(found))
    tar.finish()
    compressing.finish()


class _BundleWriter:
    """Writes the blobs of a bundle, each once. It owns nothing."""

    def __init__(self, tar: TarWriter, store: "Store") -> None:
        self._tar = tar
        self._store = store
        self._written: set[str] = set()

    def build(self, build: BundledBuild, default_platform: str) -> Descriptor:
        """Write one build. Returns the descriptor of its manifest."""
        made = inspection.attachments(build.entry, self._store)
        layers = [self._attachment(one) for one in made]
        config = self.json(_RECORD, _record(build, made, default_platform))
        return self.json(
            media_types.OCI_MANIFEST,
            {
                "schemaVersion": 2,
                "mediaType": media_types.OCI_MANIFEST,
                "config": descriptors.to_dict(config),
                "layers": list(map(descriptors.to_dict, layers)),
            },
        )

    def json(self, media_type: str, value: object) -> Descriptor:
        """Write a JSON document."""
        raw = msgspec.json.format(msgspec.json.encode(value), indent=2)
        descriptor = Descriptor(media_type, digests.of(raw), len(raw))
        if descriptor.digest not in self._written:
            self._written.add(descriptor.digest)
            self._tar.add(layout.blob_path(descriptor.digest), len(raw), BytesIO(raw))
        return descriptor

    def _attachment(self, one: Attachment) -> Descriptor:
        descriptor = one.descriptor
        if descriptor.digest not in self._written:
            self._written.add(descriptor.digest)
            with self._store.open_blob(descriptor) as blob:
                self._tar.add(layout.blob_path(descriptor.digest), descriptor.size, blob)
        if _is_statement(one):
            return descriptor
        notes = {**descriptor.annotations, _MEDIA_TYPE: descriptor.media_type}
        return msgspec.structs.replace(descriptor, media_type="application/json", annotations=notes)


def _record(build: BundledBuild, made: Sequence[Attachment], default_platform: str) -> dict[str, Any]:
    """The record, with the names that Go gives the fields of BuildKit's message BuildHistoryRecord."""
    entry = build.entry
    results: dict[str, dict[str, Any]] = {}
    for one in made:
        result = results.setdefault(one.platform, {})
        if _is_statement(one):
            result.setdefault("Attestations", []).append(_descriptor(one.descriptor))
        else:
            numbered = result.setdefault("Results", {})
            numbered[str(len(numbered))] = _descriptor(one.descriptor)
    record: dict[str, Any] = {
        "Ref": entry.id,
        "Frontend": "dockerfile.v0",
        "FrontendAttrs": inspection.frontend(entry),
        "CreatedAt": _timestamp(entry.begun),
        "CompletedAt": _timestamp(entry.begun + entry.seconds),
        "Results": results,
        "numCachedSteps": entry.steps.cached,
        "numTotalSteps": entry.steps.total,
        "numCompletedSteps": entry.steps.done,
        "numWarnings": entry.warnings,
        "DefaultPlatform": default_platform,
        "localState": build.state,
        "stateGroup": build.group,
    }
    if entry.root is not None:
        record["ExporterResponse"] = {"containerimage.digest": entry.root.digest}
    if entry.status != "completed":
        record["error"] = {"code": 1 if entry.status == "canceled" else 2, "message": entry.error}
    return {key: value for key, value in record.items() if value or key == "DefaultPlatform"}


def _is_statement(one: Attachment) -> bool:
    return one.type != one.descriptor.media_type


def _descriptor(descriptor: Descriptor) -> dict[str, Any]:
    found = {
        "media_type": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
        "annotations": dict(descriptor.annotations),
    }
    return {key: value for key, value in found.items() if value}


def _timestamp(seconds: float) -> dict[str, int]:
    whole = int(seconds)
    nanos = int((seconds - whole) * 1e9)
    return {"seconds": whole} | ({"nanos": nanos} if nanos else {})
