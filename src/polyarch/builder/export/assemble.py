"""Layers and config → manifest → index: the results of a build as images in the store.

The layer of a RUN becomes a blob here and not earlier, so that only exported layers are packed.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from polyarch.builder.cache import packed
from polyarch.builder.export.streaming import EarlyLayers, RegistryUploads
from polyarch.builder.plan.planner import Plan
from polyarch.builder.request.output import Export
from polyarch.contents import listings
from polyarch.contents.filesystem import Filesystems
from polyarch.contents.layer import Layer
from polyarch.oci import index as indexes
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types
from polyarch.oci.config import ImageConfig
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.layer_table import STARGZ_TOC_DIGEST
from polyarch.oci.platform import Platform

if TYPE_CHECKING:
    from polyarch.builder.workspace import Workspace
    from polyarch.layers.compression import Compression


class BuiltImage(msgspec.Struct, frozen=True, kw_only=True):
    """One platform's image: its manifest, its config's digest, and its layers.

    If only files were exported, there is no manifest and no config, and their digests are "".
    """

    platform: Platform
    descriptor: Descriptor
    config: Digest
    layers: tuple[Layer, ...]


class Assembler:
    """Makes images of built layers. It owns nothing. No new file gets a time after `epoch` (seconds). Packing ends with
    CancelledError when `stopped` returns True.
    """

    def __init__(
        self,
        workspace: "Workspace",
        filesystems: Filesystems,
        export: Export,
        workers: int,
        stopped: Callable[[], bool],
        epoch: int | None = None,
    ) -> None:
        self._epoch = epoch
        self._store = workspace.store
        self._source = workspace.source
        self._common = workspace.common
        self._uploads = RegistryUploads(workspace.registry, export)
        # Whether the layers are wanted as blobs, and nothing can still reject the image.
        self._is_early = workspace.judge is None and not all(output.is_files for output in export.outputs)
        self._stopped = stopped
        self.filesystems = filesystems
        self._export = export
        self._workers = workers
        self._packed: dict[str, Layer] = {}

    def early(self, plans: Sequence[Plan]) -> EarlyLayers:
        """Packs and sends the layers of a platform when they are made, without waiting for those of others."""
        images = [plan.layers for plan in plans] if self._is_early else []
        return EarlyLayers(images, self.blob, self._source, self._uploads, self._stopped)

    def image(
        self, plan: Plan, layers: Sequence[Layer], created: str, *, blobs: bool = True, keys: Sequence[str] = ()
    ) -> BuiltImage:
        """The image of `plan` with these layers. `created` is its time if none of its layers has a time. `keys` are the
        cache keys of the layers, for an image with an inline cache.

        Without `blobs` nothing is packed: the image will be exported as files, and gets no manifest.
        """
        if not blobs:
            nothing = Descriptor(media_type="", digest=Digest(""), size=0)
            return BuiltImage(platform=plan.platform, descriptor=nothing, config=Digest(""), layers=tuple(layers))
        whole = tuple(self.blob(layer) for layer in layers)
        config = _finished(plan, whole, created)
        about = self._store.put_bytes(media_types.OCI_CONFIG, config.encode())
        manifest = manifests.create(about, _descriptors(whole, keys), self._export.annotations)
        if self._export.docker_format:
            manifest = manifests.convert(manifest, to_docker=True)
        self._store.write_manifest(manifest.descriptor(), manifest.raw)
        return BuiltImage(
            platform=plan.platform,
            descriptor=manifest.descriptor(plan.platform),
            config=manifest.config.digest,
            layers=whole,
        )

    def root(
        self, images: Sequence[BuiltImage], attestations: Sequence[Descriptor] = (), *, always_index: bool = False
    ) -> Descriptor:
        """The descriptor that a name will point to: the image itself for one platform, else an index of all. The index
        has `attestations` after the images. If there are any, or the index or its entries have annotations, one
        platform gets an index as well.
        """
        notes, entry_notes = self._export.index_annotations, self._export.entry_annotations
        if len(images) == 1 and not (attestations or always_index or notes or entry_notes):
            return msgspec.structs.replace(images[0].descriptor, platform=None)
        media_type = media_types.DOCKER_INDEX if self._export.docker_format else media_types.OCI_INDEX
        members = [image.descriptor for image in images]
        if entry_notes:
            members = [msgspec.structs.replace(one, annotations={**one.annotations, **entry_notes}) for one in members]
        index = indexes.ordered(indexes.create([*members, *attestations], notes or None, media_type))
        self._store.write_manifest(index.descriptor(), index.raw)
        return index.descriptor()

    def roots(
        self,
        images: Sequence[BuiltImage],
        attestations: Callable[[bool], Sequence[Descriptor]],
        *,
        always_index: bool,
    ) -> dict[bool, Descriptor]:
        """The roots for outputs that get attestations with `inline-only` (True), and for those that do not (False).

        `attestations` returns the entries of each. Only what an output needs is made. The images are the same in both.
        """
        kinds = {output.is_inline for output in self._export.outputs if not output.is_files}
        return {inline: self.root(images, attestations(inline), always_index=always_index) for inline in kinds}

    def blob(self, layer: Layer, compression: "Compression | None" = None, *, force: bool | None = None) -> Layer:
        """The layer with a blob, in the compression of the image or another one. An existing blob is recompressed only
        with `force`, by default if that was requested for the image.
        """
        wanted = compression or self._export.compression
        if self._is_wanted(layer, wanted, self._export.force_compression if force is None else force):
            return layer
        key = f"{layer.key} {wanted.tag()}"
        if key not in self._packed:
            # Builds that share a layer are exported at the same time: the first packs it, the others find its blob.
            with self._common.alone(("pack", key)):
                self._packed[key] = self._repack(layer, wanted) if layer.diff_id else self._pack(layer, wanted)
        return msgspec.structs.replace(self._packed[key], created=layer.created)

    def _is_wanted(self, layer: Layer, wanted: "Compression", force: bool) -> bool:
        return bool(layer.diff_id) and (not force or _has_compression(layer, wanted))

    def _pack(self, layer: Layer, wanted: "Compression") -> Layer:
        return packed.of_snapshot(
            self._store, self.filesystems, layer, wanted, self._workers, epoch=self._epoch, stopped=self._stopped
        )

    def _repack(self, layer: Layer, wanted: "Compression") -> Layer:
        """The same tar with the requested compression."""
        from polyarch.layers import stargz
        from polyarch.layers.compression import decompress
        from polyarch.layers.recompress import recompress

        assert layer.blob is not None
        blob = layer.blob

        with self._source.open_blob(blob) as reader, self._store.new_blob() as writer:
            tar = decompress(reader, self._store.largest_layer)
            if wanted.kind == "estargz":
                packed = stargz.repack(tar, writer, wanted, self._workers)
                writer.commit(packed.digest)
                listings.remember(self._store, packed.diff_id, packed.encoded)
                return Layer(diff_id=packed.diff_id, blob=packed.descriptor())
            packed_blob = recompress(tar, writer, wanted, self._workers)
            writer.commit(packed_blob.digest)
        return Layer(
            diff_id=layer.diff_id,
            blob=Descriptor(media_type=packed_blob.media_type, digest=packed_blob.digest, size=packed_blob.size),
        )


def timestamp(seconds: float) -> str:
    """A time in the format of image configs: RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _has_compression(layer: Layer, wanted: "Compression") -> bool:
    assert layer.blob is not None
    is_stargz = STARGZ_TOC_DIGEST in layer.blob.annotations
    if is_stargz or wanted.kind == "estargz":
        return is_stargz and wanted.kind == "estargz"
    if wanted.kind == "none":
        return "+" not in layer.blob.media_type
    return layer.blob.media_type.endswith(wanted.kind)


def _descriptors(layers: Sequence[Layer], keys: Sequence[str]) -> list[Descriptor]:
    """What a manifest says of its layers. With `keys`, which are as many, it is an inline cache."""
    found = [layer.as_blob().blob for layer in layers]
    if not keys:
        return found
    from polyarch.buildcache import inline

    return [inline.annotated(blob, key) if key else blob for blob, key in zip(found, keys, strict=True)]


def _finished(plan: Plan, layers: Sequence[Layer], created: str) -> ImageConfig:
    """The config with its layers and the times of its history.

    As in BuildKit's normalizeLayersAndHistory, an entry without a layer has the time of the entry before it, and the
    first entries have that of the first new layer. So a build that is cached as a whole gives the same image again.
    """
    remaining = iter(layers)
    times: list[str] = []
    for entry in plan.history:
        layer = None if entry.empty_layer else next(remaining)
        times.append(entry.created or (layer.created if layer is not None else ""))
    first = times.index("") if "" in times else len(times)
    last = next(filter(None, times[first:]), "") or (times[first - 1] if first else "")
    last = last or str(plan.config.document.get("created") or "")
    for number in range(first, len(times)):
        last = times[number] = times[number] or last
    history = (msgspec.structs.replace(entry, created=time) for entry, time in zip(plan.history, times, strict=True))
    diff_ids = tuple(layer.diff_id for layer in layers)
    return plan.config.with_layers(diff_ids, tuple(history)).with_fields(created=last or created)
