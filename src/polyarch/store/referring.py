"""Manifests about images in index.json: each has its subject as an annotation, and is kept as long as that is."""

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from polyarch.oci import referrer
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.store import tags as names
from polyarch.store.blobs import Blobs
from polyarch.store.manifests import Manifests
from polyarch.store.tags import Tags

_OURS = (names.SUBJECT, names.REPOSITORY)


def listed(tags: Tags, manifests: Manifests, subject: Digest) -> tuple[Descriptor, ...]:
    """The manifests about `subject` that are in the store, which are leased. Their own annotations do not name it."""
    return tuple(
        structs.replace(one, annotations={key: text for key, text in one.annotations.items() if key not in _OURS})
        for one in tags.entries().referrers.get(subject, ())
        if manifests.has(one)
    )


def refer(tags: Tags, subject: Digest, documents: Sequence[Manifest | Index]) -> None:
    """List manifests under their subject. Raises NotFoundError if one is not in the store."""
    referrers = [referrer.entry(document) for document in documents]

    def edit(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        there = {entry["digest"] for entry in entries if names.subject_of(entry) == subject}
        new = [names.plain(one, {names.SUBJECT: subject}) for one in referrers if one.digest not in there]
        return entries + new

    tags.change(edit, referrers)


def tidy(tags: Tags, blobs: Blobs) -> None:
    """Remove the entries of referrers that are no longer in the store."""
    listed = [entry.digest for entries in tags.entries().referrers.values() for entry in entries]
    gone = {digest for digest in listed if blobs.size(digest) is None}
    if gone:
        tags.change(lambda entries: [one for one in entries if not names.subject_of(one) or one["digest"] not in gone])
