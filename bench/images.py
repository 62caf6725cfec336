"""Many small images at once, through the library: what the workloads about names and moving begin with."""

import random
from collections.abc import Sequence
from pathlib import Path

import msgspec

from polyarch.layers.compression import Compression
from polyarch.layers.entry import Entry
from polyarch.layers.pack import pack
from polyarch.oci import config as configs
from polyarch.oci import index as indexes
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.platform import Platform
from polyarch.store import Store


def fill(root: Path, names: Sequence[str], seed: str, *, layers: int = 1, size: int = 10_000) -> None:
    """Make an image for each name in the store, of so many layers with a random file of `size` bytes in each."""
    with Store.open(root) as store:
        store.assign([(name, image(store, "linux/amd64", f"{seed} {name}", layers, size)) for name in names])


def members(root: Path, names: Sequence[str], chosen: Sequence[str]) -> None:
    """Make a small image for each name and platform."""
    with Store.open(root) as store:
        for name, platform in zip(names, chosen, strict=True):
            store.tag(name, image(store, platform, platform, 1, 10_000))


def index(root: Path, name: str, seed: str, *, entries: int) -> None:
    """Make an index of so many small images, which differ in their platforms' versions of the operating system."""
    with Store.open(root) as store:
        found = []
        for number in range(entries):
            made = image(store, "linux/amd64", f"{seed} {number}", 1, 1000)
            found.append(msgspec.structs.replace(made, platform=Platform("linux", "amd64", os_version=str(number))))
        whole = indexes.create(found)
        store.write_manifest(whole.descriptor(), whole.raw)
        store.tag(name, whole.descriptor())


def image(store: Store, platform: str, seed: str, layers: int, size: int) -> Descriptor:
    """One image, which is the same for the same arguments."""
    blobs, diff_ids = [], []
    for number in range(layers):
        content = random.Random(f"{seed} {number}").randbytes(size)
        entry = Entry(path=f"file-{number}", kind="file", mode=0o644, size=size)
        with store.new_blob() as writer:
            packed = pack([(entry, content)], writer, Compression(), 1)
            writer.commit(packed.digest)
        blobs.append(Descriptor(media_type=packed.media_type, digest=packed.digest, size=packed.size))
        diff_ids.append(packed.diff_id)
    config = configs.empty(platforms.parse(platform)).with_layers(tuple(diff_ids), ())
    config = config.with_fields(created="2026-01-01T00:00:00Z")
    manifest = manifests.create(store.put_bytes(media_types.OCI_CONFIG, config.encode()), blobs)
    store.write_manifest(manifest.descriptor(), manifest.raw)
    return manifest.descriptor()
