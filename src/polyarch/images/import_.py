"""`import`: create an image for one platform from the tar of a root filesystem."""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from polyarch import progress
from polyarch.contents import listings
from polyarch.errors import CorruptError
from polyarch.oci import config as configs
from polyarch.oci import document as documents
from polyarch.oci import index as indexes
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types
from polyarch.oci import platform as platforms
from polyarch.oci.config import History, ImageConfig
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index
from polyarch.oci.place import Readable
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference

if TYPE_CHECKING:
    from polyarch.layers.entry import Entry, Item
    from polyarch.store import Store
    from polyarch.store.blobs import BlobWriter

# Bytes that are enough to detect the compression.
_MAGIC = 512


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """The result: the index that `name` points at, the image in it, and the digest of the image that it replaced."""

    name: str
    descriptor: Descriptor
    image: Descriptor
    platform: Platform
    replaced: Digest | None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The metadata of an imported image. `created` is an RFC 3339 time; `source` and `message` go to its history."""

    created: str
    source: str = "-"
    message: str = ""


def import_image(
    store: "Store",
    tar: Readable,
    reference: Reference,
    platform: Platform,
    settings: Settings,
    configure: Callable[[ImageConfig], ImageConfig] = lambda config: config,
    emit: progress.Emit = progress.ignore,
) -> Imported:
    """Create an image from `tar`, and make it the entry for `platform` in the index `reference`.

    The tar may be compressed with gzip, zstd, xz or bzip2; gzip and zstd are kept unchanged. The index is created if it
    does not exist; a single image with this name becomes one of its entries. `configure` changes the image's config.
    Raises CorruptError for an invalid tar, UsageError for an invalid platform; then nothing has changed.
    """
    for warning in platforms.doubts([platform]):
        emit(progress.Warned(warning))
    name = str(reference.tagged())
    unit = f"import {name} {platform}"
    emit(progress.Started(unit, f"import {settings.source}", (str(platform),)))
    try:
        imported = _import(store, tar, name, platform, settings, configure)
    except Exception as error:
        emit(progress.failed(unit, error))
        raise
    emit(progress.Finished(unit))
    return imported


def _import(
    store: "Store",
    tar: Readable,
    name: str,
    platform: Platform,
    settings: Settings,
    configure: Callable[[ImageConfig], ImageConfig],
) -> Imported:
    layer, diff_id = _layer(store, tar)
    comment = settings.message or f"Imported from {settings.source}"
    config = configure(
        configs.empty(platform)
        .with_run(WorkingDir=None)
        .with_layers((diff_id,), (History(created=settings.created, comment=comment),))
        .with_fields(created=settings.created)
    )
    manifest = manifests.create(store.put_bytes(media_types.OCI_CONFIG, config.encode()), [layer])
    image = store.put_bytes(manifest.media_type, manifest.raw)
    entry = msgspec.structs.replace(image, platform=platform)
    before = store.tagged().get(name)
    index, replaced = _index(store, before, entry, platform)
    descriptor = store.put_bytes(index.media_type, index.raw)
    store.tag(name, descriptor)
    if before is not None and before.digest != descriptor.digest:
        # The new index replaces the old one, which would otherwise stay in the store without a name.
        store.forget(before.digest)
    return Imported(name=name, descriptor=descriptor, image=entry, platform=platform, replaced=replaced)


def _index(
    store: "Store", before: Descriptor | None, entry: Descriptor, platform: Platform
) -> tuple[Index, Digest | None]:
    """The new index, and the digest of the image that it replaces."""
    if before is None:
        return indexes.create([entry]), None
    document = documents.load(store.read_manifest(before), before.media_type)
    if not isinstance(document, Index):
        if not document.is_image:
            raise CorruptError("the name belongs to an artifact, to which no image can be added", "choose another name")
        with store.open_blob(document.config) as reader:
            own = configs.load(reader.read()).platform
        document = indexes.create([msgspec.structs.replace(before, platform=own)])
    matches = [old.digest for old in document.manifests if indexes.by_platform(platform)(old)]
    replaced = matches[0] if matches and matches[0] != entry.digest else None
    for digest in matches:
        for statement in indexes.attestations(document, digest):
            # Attestations of the replaced image do not apply to the new one.
            document = indexes.remove(document, indexes.by_digest(statement.digest))
    return indexes.ordered(indexes.replace(document, indexes.by_platform(platform), entry)), replaced


def _layer(store: "Store", tar: Readable) -> tuple[Descriptor, Digest]:
    """Write the layer's blob to the store. Returns its descriptor and diff id."""
    from itertools import takewhile

    from polyarch.layers.compression import Compression, decompress, sniff
    from polyarch.layers.links import LinkGuard
    from polyarch.layers.listing import scan
    from polyarch.layers.pack import pack

    head = b""
    while len(head) < _MAGIC and (chunk := tar.read(_MAGIC - len(head))):
        head += chunk
    if not head:
        raise CorruptError("nothing to import: the input is empty", "give a tar of a root filesystem")
    kind = sniff(head)
    with store.new_blob() as writer:
        if kind in ("gzip", "zstd"):
            diff_id, listing = scan(_Tee(head, tar, writer), limit=store.largest_layer)
            first = takewhile(lambda entry: entry.kind != "hardlink", listing.entries)
            guard = LinkGuard(lambda: {entry.path for entry in first if entry.kind != "directory"})
            for entry in listing.entries:
                guard.add(entry)
            media_type = Compression(kind="zstd" if kind == "zstd" else "gzip").media_type()
            digest, size = writer.commit()
            blob = Descriptor(media_type=media_type, digest=digest, size=size)
        else:
            plain = decompress(_Tee(head, tar, None), store.largest_layer)
            packed = pack(_items(plain, store.largest_layer), writer, Compression())
            diff_id, listing, blob = packed.diff_id, packed.listing, packed.descriptor()
            writer.commit(packed.digest)
            if packed.toc:
                with store.new_blob() as table:
                    table.write(packed.toc)
                    table.commit()
    listings.remember(store, diff_id, listing.encode())
    return blob, diff_id


def _items(tar: Readable, limit: int) -> "Iterator[Item]":
    from polyarch.layers.compression import RAISE_THE_LIMIT
    from polyarch.layers.entry import clean
    from polyarch.layers.reader import members

    unpacked = 0
    for entry, content in members(tar):
        # A sparse file of a few bytes may claim exabytes, which would be written here.
        unpacked += entry.size if entry.kind == "file" else 0
        if unpacked > limit:
            raise CorruptError(f"the files in the tar are larger than the allowed {limit} bytes", RAISE_THE_LIMIT)
        path = clean(entry.path)
        link = clean(entry.link) if entry.kind == "hardlink" else entry.link
        yield msgspec.structs.replace(entry, path=path, link=link), _opener(entry, content)


def _opener(entry: "Entry", content: Readable) -> "Callable[[], _Once] | None":
    return (lambda: _Once(content)) if entry.kind == "file" else None


class _Once:
    """A member's content as a BlobReader. It owns nothing: the tar's reader continues after it."""

    def __init__(self, content: Readable) -> None:
        self._content = content

    def read(self, size: int = -1, /) -> bytes:
        return self._content.read(size)

    def close(self) -> None:
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


class _Tee:
    """Reads `head` and then `rest`, and also writes both to a blob if there is one."""

    def __init__(self, head: bytes, rest: Readable, writer: "BlobWriter | None") -> None:
        self._head = head
        self._rest = rest
        self._writer = writer

    def read(self, size: int = -1, /) -> bytes:
        if self._head:
            chunk, self._head = (self._head, b"") if size < 0 else (self._head[:size], self._head[size:])
        else:
            chunk = self._rest.read(size)
        if self._writer is not None and chunk:
            self._writer.write(chunk)
        return chunk
