"""`type=registry`: a cache in a repository, as an index of one manifest for each platform.

`ref` names the index, and each manifest also has a tag of its own, `<tag>-<os>-<arch>[-<variant>]`. A registry can only
replace what a tag points at, and the last of two writers wins. So no two platforms share a tag, and a write is not
finished before everything is found in its place again after a moment in which a slower writer would have written. Until
then, or where another program wrote the index, a platform that the index lacks is read by its own tag.

An image or an index of images is read as an inline cache (`inline.py`).
"""

import contextlib
import io
import random
import re
import threading
import time
from typing import TYPE_CHECKING

from polyarch import progress
from polyarch.buildcache import documents, inline
from polyarch.buildcache.carrier import Around, Attributes, Change
from polyarch.buildcache.once import Once
from polyarch.buildcache.values import PlatformCache, merged
from polyarch.distribution import errors as codes
from polyarch.errors import ConflictError, CorruptError, NotFoundError, RegistryError
from polyarch.oci import digest as digests
from polyarch.oci import document as oci_documents
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.oci.place import BlobReader, Readable
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference

if TYPE_CHECKING:
    from polyarch.registry import Repository

_ATTEMPTS = 30
# How long a writer waits before it looks whether its cache is still there, in seconds: at least this, and some times as
# long as it needed itself between its last look and its write.
_SHORTEST_WAIT = 0.05
_WAIT_FACTOR = 2
_LONGEST_WAIT = 2.0
_LONGEST_TAG = 128
# What distribution's registry answers on a file system while another writer writes the same blob or manifest: for a
# moment, the file that says that a repository has it is empty. So often it is asked again.
_TORN = frozenset({codes.MANIFEST_BLOB_UNKNOWN, codes.MANIFEST_UNKNOWN, codes.BLOB_UNKNOWN, codes.DIGEST_INVALID})
_PATIENCE = 5


class RegistryCarrier:
    """Implements `Carrier`, `InRepository`, `place.Mounting` and `place.Ranged`. It owns nothing."""

    def __init__(self, attributes: Attributes, around: Around) -> None:
        self._reference = references.parse(attributes["ref"]).tagged()
        self._around = around
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._root = Once(self._read_root)
        self._caches: dict[Platform, PlatformCache | None] = {}
        self._images: dict[Platform, Manifest | None] = {}
        # What has the tag of a platform that the index lacks.
        self._unlisted: dict[Platform, Manifest | None] = {}

    @property
    def reference(self) -> Reference:
        """Implements `InRepository`."""
        return self._reference

    @property
    def where(self) -> str:
        """Implements `Carrier`."""
        return self._reference.familiar()

    @property
    def _repository(self) -> "Repository":
        return self._around.registry.repository(self._reference)

    def platforms(self) -> tuple[Platform, ...]:
        """Implements `Carrier`."""
        root = self._root.get()
        return tuple(documents.entries(root)) if isinstance(root, Index) else ()

    def may_have(self, platform: Platform, key: str) -> bool:
        """Implements `Carrier`: the index has the beginnings of all keys."""
        root = self._root.get()
        if documents.kind_of(root) != "ours":
            image = self._image(root, platform)
            return image is not None and key in inline.keys(image)
        entry = _entry(root, platform)
        if entry is not None:
            return documents.may_have(entry, key)
        if self._find_unlisted(platform) is None:
            return False
        cache = self.read(platform)
        return cache is not None and key in cache.entries

    def read(self, platform: Platform) -> PlatformCache | None:
        """Implements `Carrier`."""
        root = self._root.get()
        with self._reading:
            if platform not in self._caches:
                self._caches[platform] = self._read(root, platform)
            return self._caches[platform]

    def write(self, platform: Platform, change: Change) -> PlatformCache:
        """Implements `Carrier`."""
        if self._reference.digest:
            raise ConflictError(
                f"{self.where} has a digest, so it cannot be written", "leave out the @ and what follows it"
            )
        written = _Writer(self._reference, self._repository, platform, self._around.emit).write(change)
        self._root.forget()
        with self._lock:
            self._caches.clear()
            self._unlisted.clear()
        return written

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Implements `Carrier`."""
        return self._repository.has_blob(descriptor)

    def write_blob(self, descriptor: Descriptor, content: Readable) -> None:
        """Implements `Carrier`."""
        self._repository.write_blob(descriptor, content)

    def mount_blob(self, descriptor: Descriptor, origin: Reference) -> bool:
        """Implements `place.Mounting`."""
        return self._repository.mount_blob(descriptor, origin)

    def recorded(self, descriptor: Descriptor) -> Descriptor:
        """Implements `Carrier`."""
        return descriptor

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """Implements `Carrier`."""
        return self._repository.open_blob(descriptor)

    def read_range(self, descriptor: Descriptor, offset: int, size: int) -> bytes:
        """Implements `place.Ranged`."""
        return self._repository.read_range(descriptor, offset, size)

    def close(self) -> None:
        """Implements `Carrier`."""

    def _read_root(self) -> Manifest | Index:
        """What the name points at."""
        _, raw = self._repository.fetch_manifest(self._reference.version)
        root = oci_documents.load(raw)
        if documents.kind_of(root) != "image":
            documents.require_ours(root, self.where)
        return root

    def _image(self, root: Manifest | Index, platform: Platform) -> Manifest | None:
        """The image for a platform, with an inline cache or without; asked for once."""
        with self._lock:
            if platform not in self._images:
                self._images[platform] = inline.find_manifest(self._repository, root, platform)
            return self._images[platform]

    def _read(self, root: Manifest | Index, platform: Platform) -> PlatformCache | None:
        if documents.kind_of(root) != "ours":
            image = self._image(root, platform)
            return None if image is None else inline.read(self._repository, image, platform)
        entry = _entry(root, platform)
        if entry is None:
            unlisted = self._find_unlisted(platform)
            return None if unlisted is None else _decoded(self._repository, unlisted, self.where)
        manifest = oci_documents.load(self._repository.read_manifest(entry), entry.media_type)
        return _decoded(self._repository, manifest, self.where)

    def _find_unlisted(self, platform: Platform) -> Manifest | None:
        """The cache of a platform that the index lacks, by the platform's tag, asked for once; None for none."""
        if self._reference.digest:
            return None
        with self._lock:
            if platform not in self._unlisted:
                self._unlisted[platform] = None
                with contextlib.suppress(NotFoundError):
                    _, raw = self._repository.fetch_manifest(platform_tag(self._reference.tag, platform))
                    found = oci_documents.load(raw)
                    if isinstance(found, Manifest) and documents.kind_of(found) == "ours":
                        self._unlisted[platform] = found
            return self._unlisted[platform]


class _Writer:
    """One write of one platform's cache."""

    def __init__(self, reference: Reference, repository: "Repository", platform: Platform, emit: progress.Emit) -> None:
        self._where = reference.familiar()
        self._name = reference.tag
        self._tag = platform_tag(reference.tag, platform)
        self._repository = repository
        self._platform = platform
        self._emit = emit
        self._replaces = False
        self._known: dict[Digest, Manifest | Index] = {}
        self._caches: dict[Digest, PlatformCache | None] = {}

    def write(self, change: Change) -> PlatformCache:
        """Write until a look finds nothing more to write."""
        for attempt in range(_ATTEMPTS):
            begun = time.monotonic()
            try:
                written = self._try(change)
            except RegistryError as error:
                if attempt + 1 >= _PATIENCE or _TORN.isdisjoint(error.codes):
                    raise
                written = None
            if written is not None:
                return written
            wait = min(max(_SHORTEST_WAIT, _WAIT_FACTOR * (time.monotonic() - begun)), _LONGEST_WAIT)
            time.sleep(wait * (1 + random.random() * min(attempt, 5)))
        raise RegistryError(
            f"{self._where}: the cache of {self._platform} changed each time it was written",
            "other builds write it all the time: give them names of their own",
        )

    def _try(self, change: Change) -> PlatformCache | None:
        """Write once. Returns the cache if there was nothing to write."""
        own, index = self._look(self._tag), self._look(self._name)
        entry = _entry(index, self._platform)
        known = self._cache(own)
        if entry is not None and (own is None or entry.digest != own.digest):
            listed = self._cache(self._fetch(entry.digest))
            known = known if listed is None else merged(known, listed)
        wanted = change(known)
        encoded = documents.encode(wanted)
        expected = documents.entry(encoded, wanted, self._platform)
        if own is not None and own.digest == expected.digest and entry == expected:
            return wanted
        if (own is not None and own.digest == expected.digest) or self._put(encoded, own):
            self._list(expected, entry)
        return None

    def _put(self, encoded: documents.Encoded, own: Manifest | Index | None) -> bool:
        """Put the manifest in the place of `own`. Returns False if another writer was faster."""
        if not self._repository.has_blob(encoded.config):
            self._repository.write_blob(encoded.config, io.BytesIO(encoded.content))
        before = self._repository.points_at(self._tag)
        if before is not None and before != (own.digest if own is not None else None):
            return False
        manifest = encoded.manifest
        self._repository.write_manifest(manifest.descriptor(), manifest.raw, self._tag)
        self._known[manifest.digest] = manifest
        return True

    def _list(self, expected: Descriptor, entry: Descriptor | None) -> None:
        """Put the entry into the index in the place of `entry`, unless another writer was faster."""
        index = self._look(self._name)
        if _entry(index, self._platform) != entry:
            return
        others = documents.entries(index) if isinstance(index, Index) else {}
        new = documents.create_index({**others, self._platform: expected}.values())
        self._repository.write_manifest(new.descriptor(), new.raw, self._name)
        self._known[new.digest] = new

    def _look(self, tag: str) -> Manifest | Index | None:
        """What a tag points at in the registry itself; None for nothing, or a cache of BuildKit, which is replaced.

        Raises ConflictError for what must not be replaced.
        """
        digest = self._repository.points_at(tag)
        try:
            document = self._fetch(digest or tag)
        except NotFoundError as error:
            if digest is not None:
                raise RegistryError(error.message, error.hint, codes=(codes.MANIFEST_UNKNOWN,)) from error
            return None
        kind = documents.kind_of(document)
        if kind == "buildkit":
            if not self._replaces:
                self._replaces = True
                self._emit(progress.Warned(f"{self._where} was a cache of BuildKit, and is replaced"))
            return None
        if kind != "ours":
            # An image may have an inline cache, which changes only with the image.
            what = "is an image" if kind == "image" else documents.described(kind)
            name = f"{self._where.removesuffix(self._name)}{tag}"
            raise ConflictError(f"{name} {what}, and a cache does not replace it", "choose another tag for the cache")
        return document

    def _fetch(self, version: str) -> Manifest | Index:
        """A document by its digest or tag; each digest is requested once."""
        known = self._known.get(Digest(version))
        if known is None:
            descriptor, raw = self._repository.fetch_manifest(version)
            known = self._known[descriptor.digest] = oci_documents.load(raw)
        return known

    def _cache(self, document: Manifest | Index | None) -> PlatformCache | None:
        """The cache of a manifest; None if there is none, or if it is damaged, so that it is replaced."""
        if document is None:
            return None
        if document.digest not in self._caches:
            try:
                self._caches[document.digest] = _decoded(self._repository, document, self._where)
            except (CorruptError, NotFoundError) as error:
                self._emit(
                    progress.Warned(f"{self._where}: the cache of {self._platform} is replaced: {error.message}")
                )
                self._caches[document.digest] = None
        return self._caches[document.digest]


def platform_tag(tag: str, platform: Platform) -> str:
    """The tag of a platform's manifest: `<tag>-<os>-<arch>[-<variant>]`, or a digest in the place of a long tag."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", str(platform).replace("/", "-"))
    whole = f"{tag}-{name}"
    if len(whole) > _LONGEST_TAG:
        whole = f"{digests.encoded(digests.of(tag.encode()))[:32]}-{name}"[:_LONGEST_TAG]
    return whole


def _entry(index: Manifest | Index | None, platform: Platform) -> Descriptor | None:
    return documents.entries(index).get(platform) if isinstance(index, Index) else None


def _decoded(repository: "Repository", document: Manifest | Index, where: str) -> PlatformCache:
    documents.require_ours(document, where)
    if not isinstance(document, Manifest):
        raise CorruptError(f"{where}: an index is where the cache of a platform should be")

    def read(config: Descriptor) -> bytes:
        with repository.open_blob(config) as reader:
            return reader.read()

    return documents.decode(document, read)
