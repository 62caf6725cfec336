"""Predicates of one image that are ready to become statements: in its index, or as files beside its files."""

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from polyarch.attest.statement import Statement, Subject
from polyarch.errors import ConflictError
from polyarch.oci import attestation, image_purl
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference

if TYPE_CHECKING:
    from polyarch.store import Store


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """The predicate of a statement, as decoded JSON. `filename` is the name of its file in a directory or a tar.

    `subjects` are those of the statement if it is not about the image itself. With `inline_only`, only images get it,
    not directories, tars and archives.
    """

    type: str
    content: Any
    filename: str
    subjects: tuple[Subject, ...] = ()
    inline_only: bool = False

    def about(self, subjects: tuple[Subject, ...]) -> Statement:
        """The statement about these subjects."""
        return Statement(predicate_type=self.type, subject=self.subjects or subjects, predicate=self.content)


def subjects(names: Iterable[Reference], platform: Platform, image: Digest) -> tuple[Subject, ...]:
    """The image as the subject of statements: once for each of its names, or else under its digest.

    BuildKit names no subject of an image without a name. Sigstore's libraries sign no such statement, and in-toto's
    (spec/v1/statement.md) is always about something.
    """
    algorithm, _, value = image.partition(":")
    shown = [image_purl.of(name, platform) for name in names] or [str(image)]
    return tuple(Subject(name, {algorithm: value}) for name in shown)


def attach(
    store: "Store", image: Descriptor, predicates: Sequence[Prepared], about: tuple[Subject, ...], *, artifact: bool
) -> Descriptor:
    """Store the statements about an image and their manifest. Returns the entry for the index.

    Raises PolyarchError for a statement that is too large.
    """
    stored = [
        attestation.statement(store.put_bytes(attestation.IN_TOTO, one.about(about).encode()), one.type)
        for one in predicates
    ]
    if artifact:
        store.put_bytes(attestation.EMPTY.media_type, attestation.EMPTY_CONFIG)
        manifest = attestation.artifact(image, stored)
    else:
        config = store.put_bytes("", attestation.classic_config(stored))
        manifest = attestation.classic(config, stored)
    store.write_manifest(manifest.descriptor(), manifest.raw)
    return attestation.entry(manifest, image.digest)


def files(
    predicates: Sequence[Prepared], about: tuple[Subject, ...], prefix: str, platform: str
) -> Iterator[tuple[str, bytes]]:
    """The statements as files: names and contents. `platform` is put before the extension, unless it is empty."""
    for one, name in zip(predicates, names(predicates, prefix, platform), strict=True):
        yield name, one.about(about).encode(indent=2) + b"\n"


def names(predicates: Sequence[Prepared], prefix: str, platform: str) -> list[str]:
    """The names of the files. Raises ConflictError if two are the same."""
    found: list[str] = []
    for one in predicates:
        stem, extension = posixpath.splitext(prefix + one.filename)
        name = f"{stem}.{platform}{extension}" if platform else stem + extension
        if name in found:
            raise ConflictError(
                f"two attestations are named {name}", "give the provenance another name with filename=NAME"
            )
        found.append(name)
    return found
