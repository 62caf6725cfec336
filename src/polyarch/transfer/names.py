"""The names in a layout's index.json (image-spec, image-layout.md): finding the entry for a name, and setting one.

An entry has a ref name. containerd and BuildKit also write the full reference, and so do we, because `latest` alone
does not name an image. Several entries can point at one digest under different names.
"""

import functools
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from polyarch.errors import NotFoundError, UsageError
from polyarch.oci import descriptor as descriptors
from polyarch.oci import document as documents
from polyarch.oci import reference as references
from polyarch.oci import referrer
from polyarch.oci.descriptor import REF_NAME, Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index
from polyarch.oci.reference import Reference

# containerd's annotation for the full reference.
IMAGE_NAME = "io.containerd.image.name"


_Key = tuple[str | None, ...]


class NamedEntry(msgspec.Struct, frozen=True):
    """An image in index.json: its name, empty if it has none, and its descriptor."""

    name: str
    descriptor: Descriptor


def entries(index: Index) -> tuple[NamedEntry, ...]:
    """The images in index.json, in order. If an entry has both names, the full one is used."""
    return tuple(
        NamedEntry(entry.annotations.get(IMAGE_NAME) or entry.annotations.get(REF_NAME, ""), _bare(entry))
        for entry in index.manifests
    )


def is_referrer(entry: Descriptor) -> bool:
    """Whether an entry is listed for its subject, or lists the referrers of one (regctl), and is not an image."""
    if {IMAGE_NAME, REF_NAME} & entry.annotations.keys():
        return referrer.is_tag(entry.annotations.get(REF_NAME, ""))
    return referrer.SUBJECT in entry.annotations


def is_one_image(index: Index) -> bool:
    """Whether index.json lists the platforms of one image, as crane writes it, and not named images."""
    return len(index.manifests) > 1 and all(
        entry.platform is not None and not {IMAGE_NAME, REF_NAME} & entry.annotations.keys()
        for entry in index.manifests
    )


class Names:
    """The names in an index.json, for many lookups."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._exact: dict[str, int] = {}
        for position, entry in enumerate(index.manifests):
            for word in (*_own(entry), entry.digest):
                self._exact.setdefault(word, position)

    def __contains__(self, word: str) -> bool:
        """Whether an entry has exactly this name, or this digest."""
        return word in self._exact

    def find(self, name: str, where: str) -> Descriptor:
        """The image with this full name, ref name or digest; for an empty name, the only image.

        Raises NotFoundError with the existing names.
        """
        if not name:
            found = {entry.digest: entry for entry in self.index.manifests if not is_referrer(entry)}
            if len(found) != 1:
                raise NotFoundError(f"{where} has {len(found)} images, and no name was given", f"it has {self._have()}")
            return _bare(next(iter(found.values())))
        position = self._exact.get(name)
        if position is None and (reference := _reference(name)) is not None:
            position = self._normal.get(reference)
        if position is None:
            raise NotFoundError(f"{where} has no image {name!r}", f"it has {self._have()}")
        return _bare(self.index.manifests[position])

    @functools.cached_property
    def _normal(self) -> dict[Reference, int]:
        """The position of an entry by its name in normal form. A bare tag (`latest`) is not a name of an image."""
        found: dict[Reference, int] = {}
        for position, entry in enumerate(self.index.manifests):
            for word in _own(entry):
                if "/" in word and (reference := _reference(word)) is not None:
                    found.setdefault(reference, position)
        return found

    def _have(self) -> str:
        return ", ".join(sorted(named.name or named.descriptor.digest for named in entries(self.index))) or "nothing"


class Naming:
    """An editor for index.json: `give` names to images one after the other, then take the `index`."""

    def __init__(self, index: Index) -> None:
        self._before = index
        self._document = index.decode()
        # The entries by number, in their order, and the numbers of entries with the same names.
        self._entries: dict[int, dict[str, Any]] = {}
        self._numbers: dict[_Key, list[int]] = {}
        self._digests: Counter[str] = Counter()
        self._next = 0
        for plain in self._document["manifests"]:
            notes = plain.get("annotations") or {}
            if not (words := _words(notes)) and (subject := notes.get(referrer.SUBJECT)):
                self._put((referrer.SUBJECT, subject, plain["digest"]), plain)
                continue
            self._put(_key(words, plain["digest"]), plain)
        self._first = self._next

    def give(self, descriptor: Descriptor, name: str) -> None:
        """Set `name` for an image, and remove it from any other. An empty name adds the image without a name."""
        if not name and self._digests[descriptor.digest]:
            return
        annotations = _annotations(name) if name else {}
        plain = descriptors.to_dict(_bare(descriptor)) | ({"annotations": annotations} if annotations else {})
        for key in (_key({}, descriptor.digest), _key(annotations, descriptor.digest)):
            for number in self._numbers.pop(key, ()):
                self._digests[self._entries.pop(number)["digest"]] -= 1
        self._put(_key(annotations, descriptor.digest), plain)

    def refer(self, subject: Digest, descriptor: Descriptor) -> None:
        """List a manifest under its subject. A second time changes nothing."""
        key = (referrer.SUBJECT, subject, descriptor.digest)
        if key in self._numbers:
            return
        annotations = {**descriptor.annotations, referrer.SUBJECT: subject}
        self._put(key, descriptors.to_dict(msgspec.structs.replace(descriptor, annotations=annotations)))

    def index(self) -> Index:
        """The current index.json."""
        if self._next == self._first:
            return self._before
        self._document["manifests"] = list(self._entries.values())
        index = documents.load(documents.encode(self._document))
        assert isinstance(index, Index)
        return index

    def _put(self, key: _Key, plain: dict[str, Any]) -> None:
        self._entries[self._next] = plain
        self._numbers.setdefault(key, []).append(self._next)
        self._digests[plain["digest"]] += 1
        self._next += 1


def find(index: Index, name: str, where: str) -> Descriptor:
    """See `Names.find`; for a single lookup."""
    return Names(index).find(name, where)


def give(index: Index, descriptor: Descriptor, name: str) -> Index:
    """The index with an entry `name` for `descriptor`; see `Naming.give`."""
    naming = Naming(index)
    naming.give(descriptor, name)
    return naming.index()


def refer(index: Index, subject: Digest, referrers: Iterable[Descriptor]) -> Index:
    """The index with entries for the referrers of `subject`; see `Naming.refer`."""
    naming = Naming(index)
    for descriptor in referrers:
        naming.refer(subject, descriptor)
    return naming.index()


def tagged(name: str) -> str:
    """The name for docker's `manifest.json`; empty if it is not a reference with a tag.

    The full form, as podman writes it: docker shortens it again, but podman would add localhost/ to a short one.
    """
    reference = _reference(name) if "/" in name or ":" in name else None
    return str(reference) if reference is not None and reference.tag and not reference.digest else ""


def _own(entry: Descriptor) -> tuple[str, ...]:
    """The names of an entry."""
    return tuple(entry.annotations[key] for key in (IMAGE_NAME, REF_NAME) if entry.annotations.get(key))


def _words(annotations: dict[str, str]) -> dict[str, str]:
    return {key: annotations[key] for key in (IMAGE_NAME, REF_NAME) if key in annotations}


def _key(words: dict[str, str], digest: str) -> _Key:
    """The key of an entry: its names, or its digest if it has none."""
    return (words.get(IMAGE_NAME), words.get(REF_NAME)) if words else (digest,)


def _annotations(name: str) -> dict[str, str]:
    reference = _reference(name) if "/" in name or ":" in name else None
    if reference is None:
        return {REF_NAME: name}
    return {IMAGE_NAME: str(reference), REF_NAME: reference.tag or str(reference)}


def _reference(name: str) -> Reference | None:
    try:
        return references.parse(name).tagged()
    except UsageError:
        return None


def _bare(entry: Descriptor) -> Descriptor:
    return Descriptor(
        media_type=entry.media_type, digest=entry.digest, size=entry.size, artifact_type=entry.artifact_type
    )
