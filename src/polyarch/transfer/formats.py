"""OCI's format or docker's, for a whole graph: manifests are rewritten, no blob is touched."""

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
    """A source whose images are in the other format: Source, Partial and Originating where the inner one is.

    An attestation stays in OCI's format, which alone has a place for it, and follows its image to the new digest;
    an entry of an index that the inner source does not have stays as it is. It owns nothing.
    """

    def __init__(self, inner: Source, *, to_docker: bool) -> None:
        self._inner = inner
        self._to_docker = to_docker
        self._made: dict[Digest, bytes] = {}
        self._left_out: list[str] = []

    @property
    def left_out(self) -> tuple[str, ...]:
        """A sentence for each thing of what was converted that docker's format has no place for."""
        return tuple(self._left_out)

    def resolve(self, name: str) -> Descriptor:
        """What `name` points at, converted. Raises as `place.Source`, and UnsupportedError."""
        return self.convert(self._inner.resolve(name))

    def convert(self, root: Descriptor) -> Descriptor:
        """The descriptor of a manifest or index in the other format; what it names is converted too."""
        document = graphs.read_node(self._inner, root).document
        converted = self._index(document, 1) if isinstance(document, Index) else self._manifest(document)
        return converted.descriptor()

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """As of `place.Source`."""
        made = self._made.get(descriptor.digest)
        return self._inner.read_manifest(descriptor) if made is None else made

    def open_blob(self, descriptor: Descriptor) -> BlobReader:
        """As of `place.Source`."""
        return self._inner.open_blob(descriptor)

    def tags(self) -> tuple[str, ...]:
        """As of `place.Source`."""
        return self._inner.tags()

    def lacks(self, descriptor: Descriptor) -> bool:
        """As of `place.Partial`; False where the inner source cannot say."""
        return isinstance(self._inner, Partial) and self._inner.lacks(descriptor)

    def origins(self, digest: Digest) -> tuple[Reference, ...]:
        """As of `place.Originating`; none where the inner source knows none."""
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
            made = self._index(document, depth + 1) if isinstance(document, Index) else self._manifest(document)
            renamed[entry.digest] = made.descriptor()
        for entry in indexes.attestation_entries(index):
            if (followed := self._attestation(entry, renamed)) is not None:
                renamed[entry.digest] = followed
        converted = indexes.convert(index, renamed, to_docker=self._to_docker)
        self._made[converted.digest] = converted.raw
        self._note("the list", index, converted)
        return converted

    def _manifest(self, manifest: Manifest) -> Manifest:
        converted = manifests.convert(manifest, to_docker=self._to_docker)
        self._made[converted.digest] = converted.raw
        self._note(f"the image {manifest.digest}", manifest, converted)
        return converted

    def _note(self, what: str, before: Manifest | Index, after: Manifest | Index) -> None:
        if lost := sorted(before.annotations.keys() - after.annotations.keys()):
            self._left_out.append(f"docker's format has no annotations: {what} lost {', '.join(lost)}")

    def _attestation(self, entry: Descriptor, renamed: dict[Digest, Descriptor]) -> Descriptor | None:
        """The attestation with a `subject` that names the converted image; None if it has none to change."""
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
        made = documents.load(raw, entry.media_type)
        self._made[made.digest] = raw
        return made.descriptor()
