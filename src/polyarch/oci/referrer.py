"""Referrers: manifests with a `subject`, the image that they are about (image-spec, manifest.md).

A registry lists them (distribution-spec, "Listing Referrers"). Where it does not, an index under a tag lists them
("Referrers Tag Schema"). In a layout, index.json lists them, each with the annotation `SUBJECT`.
"""

import re

import msgspec

from polyarch.oci import digest as digests
from polyarch.oci.descriptor import REF_NAME, Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Index, Manifest

# containerd's and buildx's annotation of an entry of a layout's index.json: the digest of its subject.
SUBJECT = "io.containerd.manifest.subject"

_TAG = r"(sha256|sha512)-([0-9a-f]{64})"
# The lengths to which the tag schema shortens the two parts of a digest.
_ALGORITHM, _ENCODED = 32, 64
# Annotations are repeated in each list of referrers, so long ones are left to the manifest.
_LONGEST = 16 << 10
# These would be read as a name of the referrer in a layout.
_NAMES = (REF_NAME, "io.containerd.image.name")


def entry(document: Manifest | Index, *, whole: bool = False) -> Descriptor:
    """Return the descriptor of a manifest as a list of referrers has it: with its artifact type and annotations.

    The type of a manifest without an artifact type is that of its config (distribution-spec, "Listing Referrers").
    `whole`: with all annotations, and not as an entry of a layout may have them.
    """
    kind = document.artifact_type
    if not kind and isinstance(document, Manifest):
        kind = document.config.media_type
    notes = {key: value for key, value in document.annotations.items() if whole or key not in _NAMES}
    if not whole and sum(len(key) + len(value) for key, value in notes.items()) > _LONGEST:
        notes = {}
    return msgspec.structs.replace(document.descriptor(), artifact_type=kind, annotations=notes)


def tag(subject: Digest) -> str:
    """Return the tag whose index lists the referrers of `subject` in a registry that cannot list them."""
    return f"{digests.algorithm(subject)[:_ALGORITHM]}-{digests.encoded(subject)[:_ENCODED]}"


def is_tag(name: str) -> bool:
    """Return whether `name` is such a tag."""
    return re.fullmatch(_TAG, name) is not None


def subject_of(name: str) -> Digest | None:
    """Return the SHA-256 digest that such a tag stands for; None for another name or a shortened digest."""
    match = re.fullmatch(_TAG, name)
    return Digest(f"sha256:{match[2]}") if match is not None and match[1] == "sha256" else None
