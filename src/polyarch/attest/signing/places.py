"""Where a signed image is, and what refers to it there: in the store, in a registry, in a layout or an archive."""

import contextlib
from collections.abc import Iterator, Mapping

from polyarch.attest.signing import simple
from polyarch.attest.signing.signatures import may_be_signature
from polyarch.errors import NotFoundError, RegistryError
from polyarch.images import names
from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types
from polyarch.oci import reference as references
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index
from polyarch.oci.place import BlobReader, Source
from polyarch.oci.reference import Reference
from polyarch.registry import Repository
from polyarch.transfer import locate, referrers
from polyarch.transfer.locate import Places
from polyarch.transfer.read_through import ReadThroughSource

# As many levels of indexes as the copier accepts (transfer/graph.py).
_MAX_DEPTH = 4


class SignedPlace:
    """An image in a place. Messages call the image `called` and the place `where`.

    `beyond` is the registry of an image in the store, where signatures may be that the store does not have. `blobs` has
    the contents of what `source` lists, if that may list more than it has.
    """

    def __init__(
        self,
        source: Source,
        root: Descriptor,
        called: str,
        where: str,
        beyond: "SignedPlace | None" = None,
        blobs: Source | None = None,
    ) -> None:
        self._source = source
        self._blobs = blobs or source
        self.root = root
        self.called = called
        self.where = where
        self.beyond = beyond

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """See `place.Source`."""
        return self._source.read_manifest(descriptor)

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """See `place.Source`. A blob that cannot be fetched is not there."""
        try:
            return self._blobs.open_blob(descriptor)
        except RegistryError as error:
            if self._blobs is self._source:
                raise
            raise NotFoundError(f"{self.where} has no blob {descriptor.digest}: {error.message}", error.hint) from error

    def members(self) -> list[Descriptor]:
        """The entries of the index, and those of the indexes in it; none for a single image."""
        found: dict[Digest, Descriptor] = {}
        pending = [(self.root, 0)]
        while pending:
            descriptor, depth = pending.pop(0)
            if descriptor.media_type not in media_types.INDEXES or depth > _MAX_DEPTH:
                continue
            document = documents.load(self.read_manifest(descriptor), descriptor.media_type)
            for entry in document.manifests if isinstance(document, Index) else ():
                if entry.digest not in found and entry.media_type in media_types.ACCEPTED:
                    found[entry.digest] = entry
                    pending.append((entry, depth + 1))
        found.pop(self.root.digest, None)
        return list(found.values())

    def carriers(self, digest: Digest) -> Iterator[Descriptor]:
        """The manifests that refer to an image, and in a registry the one with cosign's tag for it."""
        yield from filter(may_be_signature, referrers.find(self._source, digest))
        if isinstance(self._source, Repository):
            with contextlib.suppress(NotFoundError):
                yield self._source.resolve(simple.tag(digest))

    def attach(self, subject: Descriptor, artifact_type: str, content: bytes, annotations: Mapping[str, str]) -> Digest:
        """Add a manifest of one blob that refers to an image here. Returns its digest. Raises UnsupportedError."""
        layer = Descriptor(artifact_type, digests.of(content), len(content))
        artifact = manifests.artifact(artifact_type, [layer], subject, annotations)
        blobs = {layer.digest: content, artifact.config.digest: manifests.EMPTY_CONFIG}
        return referrers.attach(self._source, artifact, blobs).digest  # type: ignore[arg-type]


@contextlib.contextmanager
def opened(text: str, places: Places) -> Iterator[SignedPlace]:
    """The image that `text` names: in the store, or else in its registry; in a layout or an archive.

    Raises NotFoundError, UsageError, RegistryError, CorruptError.
    """
    explicit = text.startswith(tuple(prefix for prefix, _ in locate.PREFIXES))
    stored = None if explicit else _stored(text, places)
    if stored is not None:
        yield stored
        return
    location = locate.parse(text)
    if location.reference is None:
        with locate.opened(location, places) as place:
            yield SignedPlace(place.source, place.source.resolve(place.name), text, text)
        return
    with contextlib.nullcontext() if explicit else names.suggesting(places.store, text):
        found = _remote(location.reference, places)
    yield found


def _remote(reference: Reference, places: Places, root: Descriptor | None = None) -> SignedPlace:
    repository = places.registry.repository(reference)
    root = root or repository.resolve(reference.version)
    return SignedPlace(repository, root, reference.familiar(), reference.repository.familiar())


def _stored(text: str, places: Places) -> SignedPlace | None:
    try:
        found = names.find(places.store, text)
    except NotFoundError:
        return None
    names.require_here(places.store, found)
    beyond = None
    if name := found.reference or (references.parse(found.name) if found.name else None):
        # The configuration may block the registry; what is in the store can still be verified.
        with contextlib.suppress(RegistryError):
            beyond = _remote(name, places, found.descriptor)
    called = text if found.member is not None else names.familiar(found.name or text)
    # A copy between registries of what is about an image in the store leaves the manifests here, and not the blobs.
    blobs = ReadThroughSource(places.store, places.registry)
    return SignedPlace(places.store, found.descriptor, called, "the store", beyond, blobs)
