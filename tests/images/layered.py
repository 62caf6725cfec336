"""Images as literals: layers of entries, a config, an index of several."""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from polyarch.layers.compression import Compression
from polyarch.layers.entry import Entry, Item
from polyarch.layers.pack import pack
from polyarch.oci import config as configs
from polyarch.oci import index as indexes
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types
from polyarch.oci import platform as platforms
from polyarch.oci.config import History
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.platform import Platform
from polyarch.store import Store


def file(path: str, content: bytes | str = b"", mode: int = 0o644) -> Item:
    raw = content.encode() if isinstance(content, str) else content
    return Entry(path=path, kind="file", mode=mode, size=len(raw)), raw


def program(path: str, content: bytes | str) -> Item:
    return file(path, content, 0o755)


def link(path: str, target: str) -> Item:
    return Entry(path=path, kind="symlink", mode=0o777, link=target), None


def directory(path: str) -> Item:
    return Entry(path=path, kind="directory", mode=0o755), None


def layer(store: Store, items: Iterable[Item], kind: str = "gzip") -> tuple[Descriptor, str]:
    """The blob of a layer in the store, and its diff id."""
    output = io.BytesIO()
    made = pack(items, output, Compression(kind))  # type: ignore[arg-type]
    return store.put_bytes(made.media_type, output.getvalue()), made.diff_id


def image(
    store: Store,
    platform: str,
    *layers: Sequence[Item],
    steps: Sequence[str] = (),
    config: Mapping[str, Any] | None = None,
    **run: Any,
) -> Descriptor:
    """An image of these layers; `run` are fields of its config (Entrypoint, Cmd, Env …), `config` overrides its top."""
    blobs = [layer(store, items) for items in layers]
    made = configs.empty(platforms.parse(platform)).with_run(**run)
    history = tuple(History(created_by=step) for step in (steps or [f"COPY {n}" for n in range(len(blobs))]))
    made = made.with_layers(tuple(diff_id for _, diff_id in blobs), history)  # type: ignore[misc]
    made = made.with_fields(**(config or {}))
    blob = store.put_bytes(media_types.OCI_CONFIG, made.encode())
    manifest = manifests.create(blob, [blob for blob, _ in blobs])
    descriptor = manifest.descriptor()
    store.write_manifest(descriptor, manifest.raw)
    return descriptor


def entry(descriptor: Descriptor, platform: Platform | str | None, size: int | None = None) -> Descriptor:
    """An index's entry for an image."""
    wanted = platforms.parse(platform) if isinstance(platform, str) else platform
    size = descriptor.size if size is None else size
    return Descriptor(descriptor.media_type, descriptor.digest, size, platform=wanted)


def index(store: Store, name: str, *entries: Descriptor) -> Descriptor:
    """An index of these entries, under a name in the store."""
    made = indexes.create(entries)
    store.write_manifest(made.descriptor(), made.raw, name)
    return made.descriptor()
