"""Convert images between OCI's format and docker's: manifests are rewritten, blobs stay unchanged."""

from typing import Any

from polyarch.errors import NotFoundError, UnsupportedError
from polyarch.oci import document as documents
from polyarch.oci import index as indexes
from polyarch.oci import manifest as manifests
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.oci.place import BlobReader, Originating, Partial, Source
from polyarch.oci.reference import Reference
from polyarch.transfer import graph as graphs


class Converted:
    """A source whose images are in the other format: Source; Partial and Originating if the inner source is.

    An attestation stays in OCI's format, the only one that has attestations, and refers to the new digest of its image.
    An index entry that the inner source does not have stays unchanged. It owns nothing.
    """

    def __init__(self, inner: Source, *, to_docker: bool) -> None:
        self._inner = inner
        self._to_docker = to_docker
        self._converted: dict[Digest, bytes] = {}
        self._left_out: list[str] = []

    @property
    def left_out(self) -> tuple[str, ...]:
        """A warning for each part of the images that docker's format cannot hold."""
        return tuple(self._left_out)

    def resolve(self, name: str) -> Descriptor:
        """The converted image `name`. See `place.Source`; also raises UnsupportedError."""
        return self.convert(self._inner.resolve(name))

    def convert(self, root: Descriptor) -> Descriptor:
        """Convert a manifest or index, and the images that it names. Returns the new descriptor."""
        document = graphs.read_node(self._inner, root).document
        converted = self._index(document, 1) if isinstance(document, Index) else self._manifest(document)
        return converted.descriptor()

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """See `place.Source`."""
        raw = self._converted.get(descriptor.digest)
        return self._inner.read_manifest(descriptor) if raw is None else raw

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """See `place.Source`."""
        return self._inner.open_blob(descriptor)

    def tags(self) -> tuple[str, ...]:
        """See `place.Source`."""
        return self._inner.tags()

    def lacks(self, descriptor: Descriptor) -> bool:
        """See `place.Partial`. False if the inner source is not Partial."""
        return isinstance(self._inner, Partial) and self._inner.lacks(descriptor)

    def origins(self, digest: Digest) -> tuple[Reference, ...]:
        """See `place.Originating`. Empty if the inner source is not Originating."""
        return self._inner.origins(digest) if isinstance(self._inner, Originating) else ()

    def _index(self, index: Index, depth: int) -> Index:
        renamed: dict[Digest, Descriptor] = {}
        if depth > graphs.MAX_DEPTH:
            raise UnsupportedError(f"the index {index.digest} is nested more than {graphs.MAX_DEPTH} levels deep")
        for entry in index.manifests:
            if entry.is_attestation or not graphs.is_manifest(entry):
                continue
            try:
                document = graphs.read_node(self._inner, entry).document
            except NotFoundError:
                continue
            member = self._index(document, depth + 1) if isinstance(document, Index) else self._manifest(document)
            renamed[entry.digest] = member.descriptor()
        for entry in indexes.attestation_entries(index):
            if (followed := self._attestation(entry, renamed)) is not None:
                renamed[entry.digest] = followed
        converted = indexes.convert(index, renamed, to_docker=self._to_docker)
        self._converted[converted.digest] = converted.raw
        self._note("the list", index, converted)
        return converted

    def _manifest(self, manifest: Manifest) -> Manifest:
        converted = manifests.convert(manifest, to_docker=self._to_docker)
        self._converted[converted.digest] = converted.raw
        self._note(f"the image {manifest.digest}", manifest, converted)
        return converted

    def _note(self, what: str, before: Manifest | Index, after: Manifest | Index) -> None:
        if lost := sorted(before.annotations.keys() - after.annotations.keys()):
            self._left_out.append(f"docker's format has no annotations: {what} lost {', '.join(lost)}")

    def _attestation(self, entry: Descriptor, renamed: dict[Digest, Descriptor]) -> Descriptor | None:
        """The attestation with the converted image as its `subject`; None if it has no `subject` to change."""
        try:
            document: dict[str, Any] = graphs.read_node(self._inner, entry).document.decode()
        except NotFoundError:
            return None
        subject = document.get("subject") or {}
        target = renamed.get(subject.get("digest", ""))
        if target is None:
            return None
        document["subject"] = subject | {
            "mediaType": target.media_type,
            "digest": target.digest,
            "size": target.size,
        }
        raw = documents.encode(document)
        converted = documents.load(raw, entry.media_type)
        self._converted[converted.digest] = raw
        return converted.descriptor()
