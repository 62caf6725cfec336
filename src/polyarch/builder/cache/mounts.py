"""Cache mounts that travel: what `RUN --mount=type=cache` keeps, as a layer in a cache outside of the store.

It is packed after a build, and unpacked when a step needs a mount that this machine does not have yet. The caller must
have entered the sandbox's namespace; otherwise files would belong to the wrong ids.
"""

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from polyarch import progress
from polyarch.buildcache.carrier import Around
from polyarch.buildcache.values import CachedMount, PlatformCache, mount_name
from polyarch.builder.cache import packed
from polyarch.builder.request.request import HostSettings
from polyarch.contents.layer import Layer
from polyarch.errors import ConflictError, NotFoundError, UnsupportedError
from polyarch.layers.compression import Compression
from polyarch.layers.entry import Item, LocalFile
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.place import Readable
from polyarch.store import caches

if TYPE_CHECKING:
    from polyarch.store import Store

# Fast, and small enough: such a directory is often as large as all layers of the image.
_COMPRESSION = Compression(kind="zstd")
_KINDS = ("directory", "file", "hardlink", "symlink", "fifo")
_KEPT_XATTRS = ("security.capability", "user.")
_PATIENCE = 60.0
_PAUSE = 0.01
_CHUNK = 1 << 20


def named(identity: str, names: Iterable[str]) -> str:
    """Which of `names` means the mount `identity`; empty for none.

    A name is the `id` in the Dockerfile, or the target of a mount without one. `identity` is `NAMESPACE/ID@PLATFORM`,
    without the platform if all platforms share the mount.
    """
    known = (mount_name(identity)[0], identity.partition("/")[2])
    return next((name for name in names if name in known), "")


def shown(identity: str) -> str:
    """The mount as messages call it."""
    name, platform = mount_name(identity)
    return f"{name} for {platform}" if platform else name


class MountPacker:
    """The cache mounts that one build sends, each packed once. It owns nothing."""

    def __init__(self, around: Around, host: HostSettings) -> None:
        self._around = around
        self._host = host
        self._packed: dict[str, Layer | None] = {}
        self._reported: set[str] = set()

    def cache(
        self, wanted: Iterable[str], identities: Iterable[str], known: PlatformCache, created: str
    ) -> PlatformCache:
        """Those of `identities` that `wanted` names, as they are on this machine.

        What `known` has is not packed again unless this build used it. `created` is the time (RFC 3339) of what is new.
        """
        found: dict[str, CachedMount] = {}
        blobs: dict[Digest, Descriptor] = {}
        wanted = tuple(wanted)
        for identity in identities:
            if not named(identity, wanted):
                continue
            old = known.mounts.get(identity)
            if old is not None and not self._is_used_now(identity):
                found[identity] = msgspec.structs.replace(old, used=max(old.used, created[:10]))
                blobs[old.blob] = known.blobs[old.blob]
                continue
            layer = self._pack(identity)
            if layer is not None and layer.blob is not None:
                blob = msgspec.structs.replace(layer.blob, annotations={})
                blobs[blob.digest] = blob
                found[identity] = CachedMount(
                    blob=blob.digest, diff_id=layer.diff_id, created=created, used=created[:10]
                )
        return PlatformCache(mounts=found, blobs=blobs)

    def report_unknown(self, wanted: Iterable[str], identities: Collection[str]) -> None:
        """Note which names mean none of the mounts of a build."""
        for name in wanted:
            if not any(named(identity, (name,)) for identity in identities):
                self._warn(f"mounts={name}: no RUN of this build has a cache mount with this id")

    def _is_used_now(self, identity: str) -> bool:
        return self._around.store.caches.used(caches.name_of(identity)) >= self._around.now

    def _pack(self, identity: str) -> Layer | None:
        if identity not in self._packed:
            self._packed[identity] = self._pack_once(identity)
        return self._packed[identity]

    def _pack_once(self, identity: str) -> Layer | None:
        store = self._around.store
        if not store.caches.used(caches.name_of(identity)):
            self._warn(f"the cache mount {shown(identity)} is not sent: no step has used it on this machine")
            return None
        from polyarch.sandbox import enter

        try:
            for warning in enter(self._host.search_path).warnings:
                self._warn(warning)
            unit = f"pack cache mount {identity}"
            with progress.reported(self._around.emit, unit, f"packing the cache mount {shown(identity)}"):
                return pack(store, identity, self._host.workers)
        except (ConflictError, NotFoundError, UnsupportedError) as error:
            # Another build may use it just now. The image is whole all the same.
            self._warn(f"the cache mount {shown(identity)} is not sent: {error.message}")
            return None

    def _warn(self, message: str) -> None:
        if message not in self._reported:
            self._reported.add(message)
            self._around.emit(progress.Warned(message))


def pack(store: "Store", identity: str, workers: int) -> Layer | None:
    """The content of a mount as a layer, whose blob is in the store; None if this machine does not have the mount.

    Waits while a step has the mount alone. Raises ConflictError if that takes too long, or if the content changes while
    it is read; NotFoundError if a file vanishes.
    """
    with store.caches.hold(identity, _patient(identity)) as directory:
        return None if directory is None else packed.pack(store, _items(directory), _COMPRESSION, workers)


def unpack(content: Readable, directory: str, largest: int, note: Callable[[str], None]) -> None:
    """Unpack the layer of a mount into an empty directory. `largest` limits its size in bytes; `note` gets what cannot
    be kept. If this fails, the directory is empty again. Raises CorruptError, RegistryError.
    """
    from polyarch.layers.apply import apply
    from polyarch.layers.compression import decompress

    try:
        tar = decompress(content, largest)
        apply(tar, directory, note=note)
        # The digest of a blob is known only after its last byte.
        while tar.read(_CHUNK):
            pass
    except BaseException:
        _empty(directory)
        raise


def _items(directory: str) -> Iterator[Item]:
    from polyarch.layers.walk import walk

    for walked in walk(directory, xattrs=True):
        entry = walked.entry
        if entry.kind not in _KINDS:
            continue
        if entry.xattrs:
            kept = tuple(pair for pair in entry.xattrs if pair[0].startswith(_KEPT_XATTRS))
            entry = msgspec.structs.replace(entry, xattrs=kept)
        yield entry, LocalFile(walked.path, walked.stamp) if entry.kind == "file" else None


def _patient(identity: str) -> Callable[[Callable[[], bool]], None]:
    def wait(attempt: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not attempt():
            if time.monotonic() > deadline:
                raise ConflictError(f"the cache mount {shown(identity)} is in use by another build")
            time.sleep(_PAUSE)

    return wait


def _empty(directory: str) -> None:
    import shutil

    with os.scandir(directory) as items:
        for item in items:
            if item.is_dir(follow_symlinks=False):
                shutil.rmtree(item.path)
            else:
                os.unlink(item.path)
