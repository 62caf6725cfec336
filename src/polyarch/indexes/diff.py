"""Compare two indexes in any places, such as a list in the store with the one in its registry."""

from typing import Literal

import msgspec

from polyarch.indexes import inspect
from polyarch.oci import platform as platforms
from polyarch.oci.descriptor import Descriptor
from polyarch.transfer.locate import Places

Change = Literal["added", "removed", "changed"]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One entry that differs: its descriptors in the old and the new index, None if it is not there.

    `fields` are the fields of the descriptor that differ in a changed entry: digest, annotations, platform, …
    """

    change: Change
    subject: str
    old: Descriptor | None = None
    new: Descriptor | None = None
    fields: tuple[str, ...] = ()


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison of `old` and `new`. `annotations` are those of the index: name, old value, new value."""

    old: inspect.Inspected
    new: inspect.Inspected
    entries: tuple[Difference, ...]
    annotations: tuple[tuple[str, str | None, str | None], ...]

    @property
    def is_same(self) -> bool:
        """Whether both have the same digest."""
        return self.old.descriptor.digest == self.new.descriptor.digest


def diff(places: Places, old: str, new: str) -> Compared:
    """The changes from `old` to `new`. A single image is treated as an index with one entry.

    Raises NotFoundError, RegistryError, CorruptError.
    """
    before = inspect.inspect(places, old)
    after = inspect.inspect(places, new)
    return Compared(
        old=before,
        new=after,
        entries=compare(_entries(places, before, old), _entries(places, after, new)),
        annotations=tuple(
            (key, before.document.annotations.get(key), after.document.annotations.get(key))
            for key in sorted(before.document.annotations.keys() | after.document.annotations.keys())
            if before.document.annotations.get(key) != after.document.annotations.get(key)
        ),
    )


def compare(old: tuple[Descriptor, ...], new: tuple[Descriptor, ...]) -> tuple[Difference, ...]:
    """The entries that differ. Images are matched by digest, then by platform; the rest were added or removed."""
    left_old = [entry for entry in old if all(entry != other for other in new)]
    left_new = [entry for entry in new if all(entry != other for other in old)]
    differences: list[Difference] = []
    for same in (_same_digest, _same_platform):
        for entry in list(left_old):
            partner = next((other for other in left_new if same(entry, other)), None)
            if partner is None:
                continue
            left_old.remove(entry)
            left_new.remove(partner)
            differences.append(
                Difference(
                    change="changed", subject=_subject(partner), old=entry, new=partner, fields=_fields(entry, partner)
                )
            )
    differences += [Difference(change="removed", subject=_subject(entry), old=entry) for entry in left_old]
    differences += [Difference(change="added", subject=_subject(entry), new=entry) for entry in left_new]
    return tuple(differences)


def _entries(places: Places, inspected: inspect.Inspected, text: str) -> tuple[Descriptor, ...]:
    entries = tuple(part.descriptor for part in inspected.parts)
    if all(entry.platform is not None for entry in entries):
        return entries
    return tuple(part.descriptor for part in inspect.inspect(places, text, deep=True).parts)


def _same_digest(one: Descriptor, other: Descriptor) -> bool:
    return one.digest == other.digest


def _same_platform(one: Descriptor, other: Descriptor) -> bool:
    if one.is_attestation or other.is_attestation or one.platform is None or other.platform is None:
        return False
    return platforms.same(one.platform, other.platform)


def _subject(entry: Descriptor) -> str:
    if entry.is_attestation:
        return f"attestation {entry.digest}"
    return str(entry.platform) if entry.platform is not None else entry.digest


def _fields(one: Descriptor, other: Descriptor) -> tuple[str, ...]:
    return tuple(field for field in one.__struct_fields__ if getattr(one, field) != getattr(other, field))
