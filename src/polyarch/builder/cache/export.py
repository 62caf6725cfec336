"""Sends the results of steps to caches outside of the store: `--cache-to`.

The layer of a RUN is packed here if the image has not packed it yet. Only the caches of the platforms that were built
are changed, and what they have already is merged with what this build has (`buildcache/values.py`).
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.buildcache.carrier import Around, Carrier, Expiring, InRepository, ReadOnlyError
from polyarch.buildcache.documents import LARGEST_VERDICT
from polyarch.buildcache.types import open_carrier
from polyarch.buildcache.values import CachedLayer, CachedVerdict, PlatformCache, merged, unused_since, without
from polyarch.buildcache.wanted import CacheTarget
from polyarch.builder.cache.lost import LostLayers
from polyarch.builder.cache.mounts import MountPacker
from polyarch.builder.export.assemble import Assembler
from polyarch.builder.request.request import HostSettings
from polyarch.contents.layer import Layer
from polyarch.distribution.errors import MANIFEST_BLOB_UNKNOWN
from polyarch.errors import PolyarchError, RegistryError
from polyarch.oci import layer_table
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform
from polyarch.oci.urls import redact
from polyarch.transfer import publish
from polyarch.transfer.copy import CopyOptions, send_blobs

if TYPE_CHECKING:
    from polyarch.transfer.read_through import ReadThroughSource

_LONGEST_NAME = 200


class DoneStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step that this build has the layer of: `key` finds it, `name` shows it. `in_image`: it is in the result."""

    key: str
    name: str
    layer: Layer
    in_image: bool


class PlatformSteps(msgspec.Struct, frozen=True, kw_only=True):
    """What one platform of a build has for caches: its steps, and the keys of all steps, done or not. `verdict` is what
    the check of the image's new layers found, with its key. `mounts` are the ids of the steps' cache mounts.
    """

    platform: Platform
    steps: Sequence[DoneStep]
    keys: frozenset[str]
    mounts: tuple[str, ...] = ()
    verdict: tuple[str, bytes] | None = None


class CacheExporter:
    """Sends the steps of one build. It owns nothing. `exact_times`: the times of layers are when they were made; in a
    build with SOURCE_DATE_EPOCH they are not, and a cache gets the time of the build.
    """

    def __init__(
        self,
        source: "ReadThroughSource",
        assembler: Assembler,
        around: Around,
        host: HostSettings,
        lost: LostLayers,
        *,
        exact_times: bool,
    ) -> None:
        self._source = source
        self._assembler = assembler
        self._around = around
        self._lost = lost
        self._now = datetime.fromtimestamp(around.now, UTC)
        self._exact_times = exact_times
        self._mounts = MountPacker(around, host)

    def send(self, targets: Iterable[CacheTarget], built: Sequence[PlatformSteps]) -> None:
        """Send to all targets. Raises the first failure of a target without `ignore_error` after the others are done,
        and reports that of a target with it.
        """
        failure: PolyarchError | None = None
        for target in targets:
            self._mounts.report_unknown(target.mounts, {name for one in built for name in one.mounts})
            carrier = open_carrier(target.place, self._around)
            unit = f"cache to {carrier.where}"
            try:
                with progress.reported(self._around.emit, unit, f"exporting cache to {carrier.where}"):
                    for one in built:
                        self._send(target, carrier, one, unit)
            except ReadOnlyError as error:
                self._around.emit(
                    progress.Warned(f"the cache was not written: {carrier.where}: {error.message}", error.hint or "")
                )
            except PolyarchError as error:
                where = carrier.where
                message = error.message if where in error.message else f"{where}: {error.message}"
                if target.ignore_error:
                    self._around.emit(progress.Warned(f"the cache was not written: {message}", error.hint or ""))
                else:
                    hint = "with ignore-error=true in --cache-to, this is a warning"
                    failure = failure or PolyarchError(
                        f"the cache was not written: {message}", f"{error.hint}; {hint}" if error.hint else hint
                    )
            finally:
                carrier.close()
        if failure is not None:
            raise failure

    def _send(self, target: CacheTarget, carrier: Carrier, built: PlatformSteps, unit: str) -> None:
        known = _known(carrier, built.platform)
        new = merged(self._packed(target, built), self._packed_mounts(target, built, known, carrier))
        there_already = {} if isinstance(carrier, Expiring) else known.blobs
        there_already = {digest: blob for digest, blob in there_already.items() if digest not in self._lost}
        blobs = [blob for digest, blob in new.blobs.items() if digest not in there_already]
        layers = [blob for blob in blobs if blob.media_type != layer_table.MEDIA_TYPE]
        tables = [blob for blob in blobs if blob.media_type == layer_table.MEDIA_TYPE]
        send_blobs(self._source, carrier, layers, tables, CopyOptions(unit=unit), self._around.emit)
        there = {blob.digest for blob in tables if carrier.has_blob(blob)}
        recorded = {
            digest: there_already.get(digest) or carrier.recorded(blob)
            for digest, blob in new.blobs.items()
            if digest in there_already or blob.media_type != layer_table.MEDIA_TYPE or digest in there
        }
        whole = msgspec.structs.replace(new, blobs=recorded)
        today = self._now.date().isoformat()
        oldest = "" if target.ttl is None else (self._now - timedelta(seconds=target.ttl)).date().isoformat()

        gone: frozenset[Digest] = frozenset()

        def change(before: PlatformCache | None) -> PlatformCache:
            return without(unused_since(merged(before, whole, built.keys, today), oldest), gone)

        try:
            carrier.write(built.platform, change)
        except RegistryError as error:
            # A registry takes no manifest that names a blob which it has lost.
            gone = _gone(carrier, built.platform) if MANIFEST_BLOB_UNKNOWN in error.codes else gone
            if not gone:
                raise
            for digest in sorted(gone):
                self._around.emit(progress.Warned(f"{carrier.where} has lost {digest}, and does not name it any more"))
            carrier.write(built.platform, change)
        if isinstance(carrier, InRepository):
            publish.remember_blobs(self._around.store, recorded, carrier.reference)

    def _packed(self, target: CacheTarget, built: PlatformSteps) -> PlatformCache:
        """The steps as entries. Each layer has a blob, and every blob its table of contents."""
        entries: dict[str, CachedLayer] = {}
        blobs: dict[Digest, Descriptor] = {}
        for step in built.steps:
            if target.mode == "min" and not step.in_image:
                continue
            layer = self._assembler.blob(step.layer, target.compression, force=target.force_compression)
            assert layer.blob is not None
            blobs[layer.blob.digest] = layer.blob
            table = layer_table.find(layer.blob)
            if table is not None and table.offset is None:
                blobs[table.digest] = table.within(layer.blob)[0]
            entries[step.key] = CachedLayer(
                blob=layer.blob.digest,
                diff_id=layer.diff_id,
                created=self._created(layer),
                used=self._now.date().isoformat(),
                step=re.sub(r"\S+://\S+", lambda found: redact(found[0]), step.name)[:_LONGEST_NAME],
                notes=step.layer.notes,
            )
        verdicts: dict[str, CachedVerdict] = {}
        if built.verdict is not None and len(built.verdict[1]) <= LARGEST_VERDICT:
            verdicts[built.verdict[0]] = CachedVerdict(content=built.verdict[1], used=self._now.date().isoformat())
        return PlatformCache(entries=entries, verdicts=verdicts, blobs=blobs)

    def _packed_mounts(
        self, target: CacheTarget, built: PlatformSteps, known: PlatformCache, carrier: Carrier
    ) -> PlatformCache:
        if not target.mounts:
            return PlatformCache()
        there = {
            name: mount
            for name, mount in known.mounts.items()
            if not isinstance(carrier, Expiring) or carrier.has_blob(known.blobs[mount.blob])
        }
        return self._mounts.cache(
            target.mounts, built.mounts, msgspec.structs.replace(known, mounts=there), self._stamp()
        )

    def _stamp(self) -> str:
        return self._now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _created(self, layer: Layer) -> str:
        if self._exact_times and layer.created:
            return layer.created
        return self._stamp()


def _gone(carrier: Carrier, platform: Platform) -> frozenset[Digest]:
    """The blobs that the cache of a platform names and does not have."""
    known = _known(carrier, platform)
    return frozenset(digest for digest, blob in known.blobs.items() if not carrier.has_blob(blob))


def _known(carrier: Carrier, platform: Platform) -> PlatformCache:
    """What the carrier has already; nothing if that cannot be read: writing tells why."""
    try:
        return carrier.read(platform) or PlatformCache()
    except PolyarchError:
        return PlatformCache()
