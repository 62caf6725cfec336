"""Tags: names in the layout's index.json. It is changed under a lock and replaced atomically; readers need no lock."""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from polyarch.errors import CorruptError, NotFoundError, PolyarchError
from polyarch.oci import descriptor as descriptors
from polyarch.oci import media_types
from polyarch.oci.descriptor import REF_NAME, Descriptor
from polyarch.oci.digest import Digest
from polyarch.store import disk
from polyarch.store.blobs import Blobs
from polyarch.store.locks import FileLock

# The name that containerd and docker give to an image when they import a layout.
IMAGE_NAME = "io.containerd.image.name"
_NAMES = frozenset({REF_NAME, IMAGE_NAME})
# The same as in oci/referrer.py, which reads manifests: `images` starts sooner without that.
SUBJECT = "io.containerd.manifest.subject"
# The repositories of `polyarch serve` that keep a manifest though none of their tags names it, separated by spaces.
REPOSITORY = "org.polyarch.serve.repository"
_EMPTY = b'{"schemaVersion":2,"mediaType":"%s","manifests":[]}' % media_types.OCI_INDEX.encode()


class Entries(msgspec.Struct, frozen=True):
    """The content of index.json: images by name, unnamed images, and manifests about an image, by its digest."""

    named: Mapping[str, Descriptor]
    unnamed: tuple[Descriptor, ...]
    referrers: Mapping[Digest, tuple[Descriptor, ...]] = {}


class _IndexFile(msgspec.Struct, frozen=True):
    manifests: tuple[Descriptor, ...] = ()


Edit = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


class _Change:
    """A change that a thread waits for. `done` when it is in index.json."""

    def __init__(self, edit: Edit, needed: Sequence[Descriptor]) -> None:
        self.edit = edit
        self.needed = needed
        self.done = False


class Tags:
    """The names of a store. It reads index.json again only if the file has changed."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._layout = blobs.layout
        self._lock = FileLock(self._layout.lock("index"))
        self._read: tuple[tuple[int, int, int], Entries] | None = None
        self._turn = threading.Lock()
        self._waiting: deque[_Change] = deque()

    def entries(self) -> Entries:
        """All entries. Raises CorruptError if index.json does not conform to the specification."""
        try:
            status = os.stat(self._layout.index)
            signature = (status.st_ino, status.st_mtime_ns, status.st_size)
            if self._read is not None and self._read[0] == signature:
                return self._read[1]
            with open(self._layout.index, "rb") as file:
                status = os.fstat(file.fileno())
                raw = file.read()
        except FileNotFoundError:
            return Entries({}, ())
        entries = _entries(raw, self._layout.index)
        self._read = ((status.st_ino, status.st_mtime_ns, status.st_size), entries)
        return entries

    def resolve(self, name: str) -> Descriptor:
        """What the name points at. Raises NotFoundError."""
        descriptor = self.entries().named.get(name)
        if descriptor is None:
            raise NotFoundError(f"the store has no image {name}", "`polyarch images` lists those it has")
        return descriptor

    def set(self, name: str, descriptor: Descriptor) -> None:
        """Point `name` at an image. What it pointed at before is kept without that name. Raises NotFoundError."""
        self.assign([(name, descriptor)])

    def keep(self, descriptor: Descriptor) -> None:
        """Keep an image that may have no name. Raises NotFoundError if it is not in the store."""
        self.assign([("", descriptor)])

    def assign(self, images: Sequence[tuple[str, Descriptor]]) -> None:
        """Point each name at its image; an empty name keeps the image without one. index.json is written once.

        What a name pointed at before is kept without that name. Raises NotFoundError for an image that is not in the
        store, and then nothing has changed.
        """
        self.change(lambda entries: assigned(entries, images), [descriptor for _, descriptor in images])

    def remove(self, name: str) -> Descriptor:
        """Remove the name, and return what it pointed at. Raises NotFoundError. The next collection removes the image,
        unless it has another name or is kept without one.
        """
        removed = self.drop([name]).get(name)
        if removed is None:
            raise NotFoundError(f"the store has no image {name}", "`polyarch images` lists those it has")
        return removed

    def forget(self, digest: Digest) -> bool:
        """Stop keeping an unnamed image. Returns whether it was kept. Its names, if it has any, stay."""
        before = self.entries().unnamed
        self.drop([], [digest])
        return any(entry.digest == digest for entry in before)

    def drop(self, names: Iterable[str], digests: Iterable[Digest] = ()) -> Mapping[str, Descriptor]:
        """Remove these names, and stop keeping these images without a name. index.json is written once.

        Returns what the names pointed at; names that do not exist are left out.
        """
        wanted, unwanted = frozenset(names), frozenset(digests)
        gone: dict[str, Descriptor] = {}

        def edit(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
            kept = []
            gone.clear()
            for entry in entries:
                name = name_of(entry)
                if name in wanted:
                    gone[name] = _nameless(descriptors.parse(entry))
                elif name or subject_of(entry) or entry["digest"] not in unwanted:
                    kept.append(entry)
            return kept

        self.change(edit)
        return gone

    def restore(self, images: Iterable[Descriptor], referrers: Iterable[tuple[Digest, Descriptor]] = ()) -> None:
        """Set a damaged index.json aside (index.json.damaged) and keep these images, without names.

        `referrers` are manifests with their subjects.
        """
        document = msgspec.json.decode(_EMPTY)
        document["manifests"] = [plain(image, {}) for image in images]
        document["manifests"] += [plain(one, {SUBJECT: subject}) for subject, one in referrers]
        with disk.explained("restore the index", self._layout.root), self._blobs.lock, self._lock:
            with contextlib.suppress(FileNotFoundError):
                os.rename(self._layout.index, f"{self._layout.index}.damaged")
            disk.replace(self._layout.index, msgspec.json.encode(document), self._blobs.scratch())

    def change(self, edit: Edit, needed: Iterable[Descriptor] = ()) -> None:
        """Replace the entries of index.json. Raises NotFoundError if one of `needed` is not in the store.

        `edit` may be called a second time, if what other threads change at the same time fails.
        """
        own = _Change(edit, tuple(needed))
        self._waiting.append(own)
        # Each change waits for the disk. What other threads wait for meanwhile is done with the next change.
        with self._turn:
            if own.done:
                return
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
            together = waiting if own in waiting else [own, *waiting]
            try:
                self._change(together)
            except PolyarchError:
                # Perhaps only one of them cannot be done. The others then do it for themselves.
                if len(together) == 1:
                    raise
                self._change([own])
            else:
                for one in together:
                    one.done = True

    def _change(self, changes: Sequence[_Change]) -> None:
        with disk.explained("write a tag", self._layout.root), self._blobs.lock:
            for image in (needed for change in changes for needed in change.needed):
                if not self._blobs.has(image):
                    raise NotFoundError(f"the store has no image {image.digest}, so it cannot get a name")
            with self._lock:
                before = self._raw()
                document = _decode(before, self._layout.index, is_known=self._is_read())
                for change in changes:
                    document["manifests"] = change.edit(document["manifests"])
                after = msgspec.json.encode(document)
                if after == before:
                    return
                self._blobs.sync()
                self._blobs.trace("tag:before-replace")
                disk.replace(self._layout.index, after, self._blobs.scratch())
                self._blobs.trace("tag:after-replace")

    def _is_read(self) -> bool:
        """Whether index.json, which is locked, is what `entries` has read."""
        try:
            status = os.stat(self._layout.index)
        except FileNotFoundError:
            return False
        return self._read is not None and self._read[0] == (status.st_ino, status.st_mtime_ns, status.st_size)

    def _raw(self) -> bytes:
        try:
            with open(self._layout.index, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return _EMPTY


def create(path: str, beside: str) -> None:
    """Write an index.json without entries."""
    disk.replace(path, _EMPTY, beside)


def name_of(entry: dict[str, Any]) -> str:
    annotations = entry.get("annotations") or {}
    return str(annotations.get(REF_NAME) or annotations.get(IMAGE_NAME) or "")


def subject_of(entry: dict[str, Any]) -> str:
    """The subject of a manifest that is listed as a referrer; empty for an image."""
    return "" if name_of(entry) else str((entry.get("annotations") or {}).get(SUBJECT) or "")


def repositories_of(entry: dict[str, Any]) -> tuple[str, ...]:
    """The repositories of `polyarch serve` that keep the manifest of this entry."""
    return tuple(str((entry.get("annotations") or {}).get(REPOSITORY) or "").split())


def plain(descriptor: Descriptor, names: dict[str, str]) -> dict[str, Any]:
    entry = descriptors.to_dict(descriptor)
    annotations = {key: value for key, value in descriptor.annotations.items() if key not in _NAMES} | names
    entry.pop("annotations", None)
    return entry | {"annotations": annotations} if annotations else entry


def _nameless(descriptor: Descriptor) -> Descriptor:
    if descriptor.annotations.keys() <= _NAMES:  # nearly always
        return msgspec.structs.replace(descriptor, annotations={})
    annotations = {key: value for key, value in descriptor.annotations.items() if key not in _NAMES}
    return msgspec.structs.replace(descriptor, annotations=annotations)


def assigned(entries: list[dict[str, Any]], images: Sequence[tuple[str, Descriptor]]) -> list[dict[str, Any]]:
    """The entries with each name pointing at its image, the images that lost their last name at the end without one."""
    result = list(entries)
    positions = {name: at for at, entry in enumerate(entries) if (name := name_of(entry))}
    named: set[str] = set()
    nameless: dict[str, dict[str, Any]] = {}
    for name, descriptor in images:
        if not name:
            nameless.setdefault(descriptor.digest, plain(descriptor, {}))
            continue
        entry = plain(descriptor, {REF_NAME: name, IMAGE_NAME: name})
        named.add(descriptor.digest)
        if (at := positions.get(name)) is None:
            positions[name] = len(result)
            result.append(entry)
        else:
            before, result[at] = result[at], entry
            nameless.setdefault(before["digest"], plain(descriptors.parse(before), {}))
    # An image that has a name is not also kept without one, unless a repository keeps it.
    result = [
        entry
        for entry in result
        if name_of(entry) or subject_of(entry) or repositories_of(entry) or entry["digest"] not in named
    ]
    there = {entry["digest"] for entry in result if not subject_of(entry)}
    return result + [entry for digest, entry in nameless.items() if digest not in there]


def _decode(raw: bytes, path: str, *, is_known: bool) -> dict[str, Any]:
    # The entries are checked as a whole before any is changed.
    if not is_known:
        _entries(raw, path)
    document: dict[str, Any] = msgspec.json.decode(raw)
    document.setdefault("manifests", [])
    return document


def _entries(raw: bytes, path: str) -> Entries:
    try:
        found = msgspec.json.decode(raw, type=_IndexFile).manifests
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(
            f"{path} is damaged: {error}",
            "`polyarch system fsck --repair` keeps the images that are there, without their names",
        ) from error
    named: dict[str, Descriptor] = {}
    unnamed: list[Descriptor] = []
    referrers: dict[Digest, tuple[Descriptor, ...]] = {}
    for entry in found:
        name = entry.annotations.get(REF_NAME) or entry.annotations.get(IMAGE_NAME)
        if name:
            named[name] = _nameless(entry)
        elif subject := entry.annotations.get(SUBJECT):
            referrers[Digest(subject)] = (*referrers.get(Digest(subject), ()), entry)
        else:
            unnamed.append(entry)
    return Entries(named, tuple(unnamed), referrers)
