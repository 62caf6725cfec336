"""Which entries of a layout's index.json are about others: in each of the forms in which tools list referrers."""

from collections.abc import Callable

from polyarch.oci import referrer
from polyarch.oci.descriptor import REF_NAME, Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.transfer.names import IMAGE_NAME

# Above this many unnamed entries, those that do not say that they are artifacts are not read.
_MANY = 1000

Read = Callable[[Digest], Manifest | Index | None]


def referring(index: Index, read: Read) -> dict[Digest, tuple[Descriptor, ...]]:
    """The referrers in `index`, by subject. `read` returns a document of the layout, or None if it is not there.

    containerd, buildx and Polyarch annotate the entry with its subject. regctl has an index under the tag of the
    registries' tag schema. oras has only the manifest, without a name. The last counts only if the layout has the
    subject: else it is an artifact of its own.
    """
    found: dict[Digest, dict[Digest, Descriptor]] = {}
    plain: list[Descriptor] = []
    for entry in index.manifests:
        name = entry.annotations.get(REF_NAME) or entry.annotations.get(IMAGE_NAME) or ""
        if not name and (said := entry.annotations.get(referrer.SUBJECT)):
            found.setdefault(Digest(said), {})[entry.digest] = _plain(entry)
        elif (subject := referrer.subject_of(name)) is not None:
            listing = read(entry.digest)
            if isinstance(listing, Index):
                found.setdefault(subject, {}).update((listed.digest, listed) for listed in listing.manifests)
        elif not name and entry.platform is None:
            plain.append(entry)
    if len(index.manifests) > 1:
        for entry in plain if len(plain) <= _MANY else [entry for entry in plain if entry.artifact_type]:
            document = read(entry.digest)
            if document is not None and document.subject is not None and read(document.subject) is not None:
                found.setdefault(document.subject, {})[entry.digest] = referrer.entry(document)
    return {subject: tuple(entries.values()) for subject, entries in found.items()}


def _plain(entry: Descriptor) -> Descriptor:
    from msgspec.structs import replace

    return replace(entry, annotations={key: text for key, text in entry.annotations.items() if key != referrer.SUBJECT})
