"""Archives of images: an OCI layout in a tar, written as a stream and read without unpacking.

An archive for docker is both: an OCI layout, and docker's `manifest.json` for the same blobs, as `docker save` has
written since version 25. Therefore every `docker load`, podman and skopeo can read it, and those that support indexes
get all the platforms.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from polyarch.errors import CorruptError, NotFoundError
from polyarch.oci import document as documents
from polyarch.oci import index as indexes
from polyarch.oci import media_types, referrer
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.oci.place import Readable
from polyarch.oci.platform import Platform
from polyarch.oci.verify import verified, verifying
from polyarch.transfer import names, tarball
from polyarch.transfer.docker_archive import MANIFEST, DockerArchive, Saved
from polyarch.transfer.layout import INDEX, MARKER, VERSION, LayoutSource, blob_path
from polyarch.transfer.names import Naming
from polyarch.transfer.tarball import ArchiveSink, Members, TarWriter


class OciArchive(LayoutSource):
    """An OCI archive for reading. It owns the file: `close` it, or use `with`."""

    def __init__(self, members: Members) -> None:
        super().__init__(members)
        self._members = members

    def close(self) -> None:
        """Close the file."""
        self._members.close()

    def __enter__(self) -> "OciArchive":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_archive(file: BinaryIO, spool: Callable[[], BinaryIO], where: str) -> OciArchive | DockerArchive:
    """Open the archive in `file`, and take ownership of it: OCI or docker, plain or compressed, a file or a stream.

    An archive that is both is read as OCI, the only format with platforms, if its index.json names any image: docker 25
    left it empty for images that were saved by digest. `spool` opens a temporary file for an archive that cannot be
    read in place; messages call the archive `where`. Raises CorruptError, NotFoundError.
    """
    members = tarball.open_tar(file, spool, where)
    try:
        has_index, has_manifest = (members.size(name) is not None for name in (INDEX, MANIFEST))
        if has_manifest and not (has_index and _names_images(members)):
            return DockerArchive(members)
        if has_index:
            return OciArchive(members)
    except BaseException:
        members.close()
        raise
    members.close()
    raise CorruptError(
        f"{where} is not an archive of images: it has neither {INDEX} (OCI) nor {MANIFEST} (docker)",
        "for a root filesystem in a tar, use polyarch import",
    )


def _names_images(members: Members) -> bool:
    try:
        top = msgspec.json.decode(members.read(INDEX, documents.MAX_SIZE))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return True  # the error is reported when the index is read
    return not isinstance(top, dict) or bool(top.get("manifests"))


def open_path(path: Path, spool: Callable[[], BinaryIO]) -> OciArchive | DockerArchive:
    """Open the archive at `path`, see `open_archive`. Raises NotFoundError if there is none."""
    try:
        file = path.open("rb")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFoundError(
            f"{path}: {error.strerror}", "name an archive that 'polyarch save' or 'polyarch build -o' wrote"
        ) from None
    return open_archive(file, spool, str(path))


class ArchiveWriter:
    """Writes an archive to a stream: Target, Attachable and Streaming of `oci/place.py`. Owns nothing.

    `finish` writes the index. With `docker`, it also writes docker's `manifest.json`, which has an entry for each name.
    Older engines support only one platform for a name: of several it is `preferred`, or else the first.
    """

    in_order = True

    def __init__(self, output: ArchiveSink, *, docker: bool = False, preferred: Platform | None = None) -> None:
        self._tar = TarWriter(output)
        self._docker = docker
        self._preferred = preferred
        self._naming = Naming(indexes.create())
        self._written: set[Digest] = set()
        self._documents: dict[Digest, Manifest | Index] = {}
        self._lock = threading.Lock()
        self._tar.add_bytes(MARKER, VERSION)

    def has_blob(self, descriptor: Descriptor) -> bool:
        """See `place.Target`."""
        return descriptor.digest in self._written

    def has_manifest(self, descriptor: Descriptor) -> bool:
        """See `place.Target`."""
        return descriptor.digest in self._written

    def write_blob(self, descriptor: Descriptor, content: Readable) -> None:
        """See `place.Target`. After an error, the stream is unusable."""
        with self._lock:
            if descriptor.digest in self._written:
                return
            self._tar.add(blob_path(descriptor.digest), descriptor.size, verifying(content, descriptor))
            self._written.add(descriptor.digest)

    def write_manifest(self, descriptor: Descriptor, raw: bytes, name: str | None = None) -> None:
        """See `place.Target`. An empty name adds the image to the index without a name."""
        verified(raw, descriptor)
        with self._lock:
            if descriptor.digest not in self._written:
                self._tar.add_bytes(blob_path(descriptor.digest), raw)
                self._written.add(descriptor.digest)
            self._documents[descriptor.digest] = documents.load(raw, descriptor.media_type or None)
            if name is not None:
                self._naming.give(descriptor, name)

    def write_referrers(self, subject: Digest, documents: Sequence[Manifest | Index]) -> None:
        """See `place.Attachable`."""
        with self._lock:
            for document in documents:
                if document.digest not in self._written:
                    self._tar.add_bytes(blob_path(document.digest), document.raw)
                    self._written.add(document.digest)
                self._naming.refer(subject, referrer.entry(document))

    def finish(self) -> None:
        """Write index.json, docker's manifest.json and the end of the archive."""
        self._tar.add_bytes(INDEX, self._naming.index().raw)
        if self._docker:
            self._tar.add_bytes(MANIFEST, self._manifest_json())
        self._tar.finish()

    def warnings(self) -> tuple[str, ...]:
        """A warning for each image that some docker engines cannot read; empty without `docker`."""
        return tuple(
            f"{tags[0] if tags else digest} has layers compressed by zstd, which docker's engines before 23 do not read"
            for digest, tags in (self._tagged() if self._docker else {}).items()
            if any(layer.media_type == media_types.OCI_LAYER_ZSTD for layer in self._image(digest).layers)
        )

    def _manifest_json(self) -> bytes:
        saved = []
        for digest, tags in self._tagged().items():
            image = self._image(digest)
            layers = [blob_path(layer.digest) for layer in image.layers]
            saved.append(Saved(config=blob_path(image.config.digest), repo_tags=tags or None, layers=layers))
        return msgspec.json.encode(saved)

    def _tagged(self) -> dict[Digest, list[str]]:
        """The images that docker is shown, and their names."""
        tagged: dict[Digest, list[str]] = {}
        for entry in names.entries(self._naming.index()):
            manifest = self._for_docker(entry.descriptor.digest)
            if manifest is not None:
                tagged.setdefault(manifest.digest, []).extend(filter(None, [names.tagged(entry.name)]))
        return tagged

    def _image(self, digest: Digest) -> Manifest:
        image = self._documents[digest]
        assert isinstance(image, Manifest)
        return image

    def _for_docker(self, digest: Digest) -> Manifest | None:
        """The image for an engine that supports one platform, of the image or index with this digest."""
        document = self._documents.get(digest)
        if isinstance(document, Index):
            best = indexes.select(document, self._preferred) if self._preferred is not None else None
            order = ([best] if best is not None else []) + list(indexes.images(document))
            candidates = (self._for_docker(entry.digest) for entry in order)
            return next((manifest for manifest in candidates if manifest is not None), None)
        return document if document is not None and document.is_image else None
