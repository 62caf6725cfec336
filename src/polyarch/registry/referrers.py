"""The manifests with a given subject (distribution-spec, "Listing Referrers", "Pushing Manifests with Subject").

A registry that knows nothing of subjects stores such manifests, but cannot list them. Then an index under a tag that is
made of the subject's digest lists them ("Referrers Tag Schema"), and the clients keep it. The protocol has no
transactions, so two clients can overwrite each other's entry. Therefore a writer sends a condition, which some
registries honour, reads the tag again after a pause, and adds its entries again if they are gone.
"""

from collections.abc import Sequence

from polyarch.distribution import endpoints, errors
from polyarch.distribution.headers import next_page
from polyarch.errors import CorruptError, RegistryError
from polyarch.oci import document as documents
from polyarch.oci import index as indexes
from polyarch.oci import media_types, referrer
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.registry import manifests
from polyarch.registry.http import joined, origin_differs
from polyarch.registry.response import Response
from polyarch.registry.wire import Wire

# The specification says 404. Others come from registries and gateways that do not know the path.
_NO_LIST = (400, 403, 404, 405, 501)
# The registry may have the list, but it has no such repository.
_NO_REPOSITORY = frozenset({errors.NAME_UNKNOWN, errors.MANIFEST_UNKNOWN})
_ACCEPT = {"Accept": media_types.OCI_INDEX}
# A tag may point at something else: docker-registry would answer 404 if that is not accepted.
_ACCEPT_ANY = {"Accept": ", ".join(media_types.ACCEPTED)}
_MOST_PAGES = 100
_PRECONDITION_FAILED = 412
# Seconds until the tag is read again. Another writer that read it before our PUT has written by then.
_PAUSES = (0.05, 0.2)
_ATTEMPTS = 20


def list_(wire: Wire, subject: Digest) -> tuple[Descriptor, ...]:
    """What the registry lists, or else the tag. Each once."""
    listed = _by_api(wire, subject)
    found = _by_tag(wire, subject) if listed is None else listed
    return tuple({entry.digest: entry for entry in found}.values())


def write(wire: Wire, subject: Digest, wanted: Sequence[Manifest | Index]) -> None:
    """Write the manifests that are not listed yet."""
    listed = {entry.digest for entry in list_(wire, subject)}
    unlisted: list[Descriptor] = []
    for document in wanted:
        descriptor = document.descriptor()
        if descriptor.digest in listed and manifests.has(wire, descriptor):
            continue
        if manifests.write(wire, descriptor, document.raw, None) is None:
            unlisted.append(referrer.entry(document))
    if unlisted:
        _enter(wire, subject, unlisted)


def _by_api(wire: Wire, subject: Digest) -> list[Descriptor] | None:
    """The registry's own list; None if it has none."""
    if wire.own.host in wire.session.listless:
        return None
    what = f"the referrers of {wire.name(subject)}"
    found: list[Descriptor] = []
    page = ""
    for _ in range(_MOST_PAGES):
        with (
            wire.request(endpoints.LIST_REFERRERS, page, what=what, headers=_ACCEPT, also_ok=_NO_LIST)
            if page
            else wire.read(
                endpoints.LIST_REFERRERS, subject, what=what, headers=_ACCEPT, also_ok=_NO_LIST, digest=subject
            )
        ) as response:
            if response.status != 200 and _NO_REPOSITORY & {error.code for error in errors.parse(response.body())}:
                return []
            document = _document(response, what) if response.status == 200 else None
            following, url, mirror = next_page(response.headers("Link")), response.url, response.mirror
        if not isinstance(document, Index):
            if not mirror:
                wire.session.listless.add(wire.own.host)
            return None
        found += document.manifests
        if following is None:
            return found
        page = joined(url, following)
        if mirror or origin_differs(url, page):
            raise RegistryError(f"{what}: {wire.own.host} continues its list at another host")
    raise RegistryError(f"the list of {what} is endless")


def _document(response: Response, what: str) -> Manifest | Index | None:
    """The index or manifest in a response; None for a web page, with which some servers answer for any path."""
    raw = response.body(documents.MAX_SIZE + 1)
    is_index = response.header("Content-Type").partition(";")[0].strip() == media_types.OCI_INDEX
    try:
        return documents.load(raw, media_types.OCI_INDEX if is_index else None)
    except CorruptError as error:
        if is_index:
            raise CorruptError(f"{what}: {error.message}", error.hint) from error
        return None


def _by_tag(wire: Wire, subject: Digest) -> tuple[Descriptor, ...]:
    tag = referrer.tag(subject)
    what = wire.name(tag)
    with wire.read(
        endpoints.PULL_MANIFEST, tag, what=what, headers=_ACCEPT_ANY, also_ok=(404,), reference=tag
    ) as response:
        found = _document(response, what) if response.status == 200 else None
    return found.manifests if isinstance(found, Index) and found.digest != subject else ()


def _enter(wire: Wire, subject: Digest, entries: Sequence[Descriptor]) -> None:
    """Add the entries to the index of the tag, and see that they stay there.

    Raises RegistryError if the tag is something else, or if others keep removing the entries.
    """
    tag = referrer.tag(subject)
    sleep = wire.session.transport.sleep
    for _ in range(_ATTEMPTS):
        if not _put(wire, subject, entries):
            continue  # another writer was faster
        for pause in _PAUSES:
            # Writers of other entries wait a little longer or shorter, so that they do not keep meeting.
            sleep(pause * (1 + int(entries[0].digest[-2:], 16) / 0xFF))
            index, _ = _read(wire, subject)
            if index is None or _missing(index, entries):
                break
        else:
            return
    raise RegistryError(
        f"{wire.name(tag)}: the list of referrers could not be written, because others keep changing it", "try again"
    )


def _put(wire: Wire, subject: Digest, entries: Sequence[Descriptor]) -> bool:
    """Add the entries if they are missing. Returns False if the registry says that the tag has changed meanwhile."""
    index, etag = _read(wire, subject)
    changed = index or indexes.create()
    missing = _missing(changed, entries)
    if not missing and index is not None:
        return True
    for entry in missing:
        changed = indexes.add(changed, entry)
    condition = {"If-Match": etag} if etag else {}
    try:
        manifests.write(wire, changed.descriptor(), changed.raw, referrer.tag(subject), condition)
    except RegistryError as error:
        if error.status != _PRECONDITION_FAILED:
            raise
        return False
    return True


def _read(wire: Wire, subject: Digest) -> tuple[Index | None, str]:
    """The list in the registry itself, not a mirror, and the entity tag of its tag; None if there is no list.

    `cosign copy` leaves the subject itself at the tag. That is not a list, and nothing is lost with it.
    """
    tag = referrer.tag(subject)
    what = wire.name(tag)
    with wire.request(
        endpoints.PULL_MANIFEST, what=what, headers=_ACCEPT_ANY, also_ok=(404,), reference=tag
    ) as response:
        if response.status == 404:
            return None, ""
        document, etag = _document(response, what), response.header("ETag")
    if document is not None and document.digest == subject:
        return None, etag
    if not isinstance(document, Index):
        raise RegistryError(
            f"{what} is not a list of referrers, so none can be added to it",
            "this tag is reserved for such a list (distribution-spec, Referrers Tag Schema): remove it",
        )
    return document, etag


def _missing(index: Index, entries: Sequence[Descriptor]) -> list[Descriptor]:
    there = {entry.digest for entry in index.manifests}
    return [entry for entry in entries if entry.digest not in there]
