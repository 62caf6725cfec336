"""Manifests about images (their `subject`): find them in any place, attach new ones, and carry them along in a copy.

What a place lists is a claim. A manifest counts only if its own `subject` is the one that it is listed for.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from polyarch.errors import CorruptError, NotFoundError, RegistryError, UnsupportedError
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest
from polyarch.oci.place import Attachable, Referring, Source, Target
from polyarch.transfer import graph as graphs
from polyarch.transfer.graph import ImageGraph

if TYPE_CHECKING:
    from polyarch.transfer.pool import WorkerPool

# An attestation of an image, a signature of that, and one more.
MAX_LEVELS = 3
# The number of referrers that a copy takes along. Some scanners add one a day.
MAX_REFERRERS = 1000

# Errors that make one referrer unusable, and not the image.
UNUSABLE = (NotFoundError, CorruptError, RegistryError)


class Referrer(msgspec.Struct, frozen=True):
    """A manifest about `subject`, with everything that it names."""

    subject: Digest
    graph: ImageGraph

    @property
    def document(self) -> Manifest | Index:
        """The manifest."""
        return self.graph.root.document

    @property
    def digest(self) -> Digest:
        """The digest of the manifest."""
        return self.document.digest


class Found(msgspec.Struct, frozen=True):
    """Referrers by level: those of the images, then those of the first, and so on. `notes`: what was left out, why.

    `absent` are subjects that are not copied.
    """

    levels: tuple[tuple[Referrer, ...], ...] = ()
    notes: tuple[str, ...] = ()
    absent: frozenset[Digest] = frozenset()

    def is_about(self, subject: Digest) -> bool:
        """Whether one of them is about `subject`."""
        return any(referrer.subject == subject for level in self.levels for referrer in level)


def find(source: Source, subject: Digest, artifact_type: str = "") -> tuple[Descriptor, ...]:
    """The manifests about `subject` in a place, with their artifact types and annotations; of one type if it is given.

    Empty if the place cannot list them. Raises RegistryError.
    """
    if not isinstance(source, Referring):
        return ()
    listed = source.referrers(subject)
    return tuple(entry for entry in listed if not artifact_type or entry.artifact_type == artifact_type)


def read(source: Source, subject: Digest, descriptor: Descriptor) -> Manifest | Index:
    """The manifest of a referrer that `find` returned.

    Raises CorruptError if it is not about `subject`; NotFoundError, RegistryError.
    """
    document = graphs.read_node(source, descriptor).document
    _require_subject(document, subject)
    return document


def attach(target: Target, artifact: Manifest, blobs: Mapping[Digest, bytes]) -> Descriptor:
    """Write a manifest that has a `subject` (`oci.manifest.artifact`), with its config and layers, and list it there.

    `blobs` has the content of the config and layers; what is missing must be in the place already. Returns the
    descriptor of the manifest. Raises RegistryError; UnsupportedError for a place that has no lists of referrers.
    """
    from io import BytesIO

    if artifact.subject is None or not isinstance(target, Attachable):
        raise UnsupportedError("this place cannot list manifests about an image", "use a registry or an OCI layout")
    for blob in graphs.blobs_of(artifact):
        content = blobs.get(blob.digest)
        if content is not None and not target.has_blob(blob):
            target.write_blob(blob, BytesIO(content))
    target.write_referrers(artifact.subject, [artifact])
    return artifact.descriptor()


def gather(source: Source, subjects: Iterable[Digest], pool: "WorkerPool") -> Found:
    """The referrers of `subjects`, the referrers of those, and so on for `MAX_LEVELS` levels. Each is read once.

    `subjects` are all manifests and indexes of an image. What cannot be read or is not about its subject is in `notes`.
    """
    if not isinstance(source, Referring):
        return Found()
    seen = set(subjects)
    level = list(dict.fromkeys(seen))
    levels: list[tuple[Referrer, ...]] = []
    notes: list[str] = []
    for _ in range(MAX_LEVELS):
        listed: list[tuple[Digest, Descriptor]] = []
        for subject, answer in zip(level, pool.map(lambda one: _listed(source, one), level), strict=True):
            if isinstance(answer, str):
                notes.append(answer)
                continue
            listed += [(subject, entry) for entry in answer if entry.digest not in seen]
            seen.update(entry.digest for entry in answer)
        room = MAX_REFERRERS - sum(map(len, levels))
        if len(listed) > room:
            notes.append(f"{len(listed) - room} of more than {MAX_REFERRERS} manifests about the image were left out")
        answers = pool.map(lambda pair: _read(source, *pair), listed[:room])
        notes += [answer for answer in answers if isinstance(answer, str)]
        found = tuple(answer for answer in answers if isinstance(answer, Referrer))
        if not found:
            break
        levels.append(found)
        level = [referrer.digest for referrer in found]
    return Found(tuple(levels), tuple(notes))


def carry(found: Found, target: Target, send: Callable[[ImageGraph], None], pool: "WorkerPool") -> tuple[str, ...]:
    """Write referrers to `target`, level by level. `send` copies what a manifest names. Returns notes, as `gather`.

    An image is complete without them, so what cannot be written is a note.
    """
    notes = list(found.notes)
    if not isinstance(target, Attachable):
        return (*notes, "manifests about the image were left out: this place cannot list them") if found.levels else ()
    lost = set(found.absent)
    for level in found.levels:
        lost.update(referrer.digest for referrer in level if referrer.subject in lost)
        wanted = [referrer for referrer in level if referrer.digest not in lost]
        sent: dict[Digest, list[Manifest | Index]] = {}
        for referrer, problem in zip(wanted, pool.map(lambda one: _sent(one, send), wanted), strict=True):
            if problem:
                lost.add(referrer.digest)
                notes.append(problem)
            else:
                sent.setdefault(referrer.subject, []).append(referrer.document)
        groups = list(sent.items())
        problems = pool.map(lambda group: _written(target, *group), groups)
        for (_, documents), problem in zip(groups, problems, strict=True):
            if problem:
                notes.append(problem)
                lost.update(document.digest for document in documents)
    return tuple(notes)


def _listed(source: Referring, subject: Digest) -> tuple[Descriptor, ...] | str:
    try:
        return source.referrers(subject)
    except UNUSABLE as error:
        return f"the manifests about {subject} could not be listed: {error.message}"


def _read(source: Source, subject: Digest, descriptor: Descriptor) -> Referrer | str:
    """A referrer with its graph; a note if it cannot be used."""
    if not graphs.is_manifest(descriptor):
        return f"{descriptor.digest}, listed as being about {subject}, is of the unknown type {descriptor.media_type}"
    try:
        graph = graphs.read(source, descriptor)
        _require_subject(graph.root.document, subject)
        if gone := graphs.missing(graph, source):
            raise NotFoundError(f"it is not complete, {gone[0].digest} is missing")
    except UNUSABLE as error:
        return f"{descriptor.digest}, listed as being about {subject}, was left out: {error.message}"
    return Referrer(subject, graph)


def _require_subject(document: Manifest | Index, subject: Digest) -> None:
    if document.subject != subject:
        about = f"is about {document.subject}" if document.subject is not None else "has no subject"
        raise CorruptError(f"{document.digest} is listed as being about {subject}, but it {about}")


def _sent(referrer: Referrer, send: Callable[[ImageGraph], None]) -> str:
    try:
        send(referrer.graph)
    except UNUSABLE as error:
        return f"{referrer.digest}, which is about {referrer.subject}, was not copied: {error.message}"
    return ""


def _written(target: Attachable, subject: Digest, documents: Sequence[Manifest | Index]) -> str:
    try:
        target.write_referrers(subject, documents)
    except UNUSABLE as error:
        what = ", ".join(document.digest for document in documents)
        return f"{what}, about {subject}, could not be written: {error.message}"
    return ""
