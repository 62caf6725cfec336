"""Attestations as BuildKit stores them: a manifest beside the image, whose layers are in-toto statements.

The names are those of moby/buildkit, docs/attestations/attestation-storage.md. A manifest exists in two forms. As an
artifact it has an `artifactType`, an empty config and the image as its `subject`, so that a registry lists it among
the referrers of the image. The older form looks like an image for the platform unknown/unknown.
"""

from collections.abc import Iterable, Sequence

import msgspec

from polyarch.oci import descriptor as descriptors
from polyarch.oci import document as documents
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types
from polyarch.oci.descriptor import REFERENCE_DIGEST, REFERENCE_TYPE, Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.document import Manifest
from polyarch.oci.manifest import EMPTY as EMPTY
from polyarch.oci.manifest import EMPTY_CONFIG as EMPTY_CONFIG
from polyarch.oci.platform import Platform

ARTIFACT_TYPE = "application/vnd.docker.attestation.manifest.v1+json"
# A statement that is not signed. Its envelope would be application/vnd.dsse.envelope.v1+json.
IN_TOTO = "application/vnd.in-toto+json"
# The annotation of a statement's descriptor: the type of its predicate.
PREDICATE_TYPE = "in-toto.io/predicate-type"
# The value of REFERENCE_TYPE. BuildKit's readers ignore an entry with any other one.
ATTESTATION_MANIFEST = "attestation-manifest"

STATEMENT = "https://in-toto.io/Statement/v1"
# What BuildKit wrote before v0.32. Readers accept both.
OLD_STATEMENT = "https://in-toto.io/Statement/v0.1"
STATEMENTS = frozenset({STATEMENT, OLD_STATEMENT})

PROVENANCE = "https://slsa.dev/provenance/"
PROVENANCE_V1 = PROVENANCE + "v1"
PROVENANCE_V02 = PROVENANCE + "v0.2"
SPDX = "https://spdx.dev/Document"
CYCLONEDX = "https://cyclonedx.org/bom"

# In bytes. BuildKit makes no larger statement. Readers may accept more.
LARGEST_STATEMENT = 40 << 20

UNKNOWN = Platform(os="unknown", architecture="unknown")


def statement(stored: Descriptor, predicate_type: str) -> Descriptor:
    """Return the descriptor of a stored statement, as it is in `layers`."""
    return Descriptor(
        media_type=IN_TOTO, digest=stored.digest, size=stored.size, annotations={PREDICATE_TYPE: predicate_type}
    )


def artifact(subject: Descriptor, statements: Sequence[Descriptor]) -> Manifest:
    """Return the manifest of these statements about the image `subject`, as an artifact."""
    return manifests.artifact(ARTIFACT_TYPE, statements, subject)


def classic(config: Descriptor, statements: Sequence[Descriptor]) -> Manifest:
    """Return the manifest of these statements in the older form. `config` is the stored `classic_config`."""
    return _load(
        {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_MANIFEST,
            "config": descriptors.to_dict(msgspec.structs.replace(config, media_type=media_types.OCI_CONFIG)),
            "layers": [descriptors.to_dict(one) for one in statements],
        }
    )


def classic_config(statements: Iterable[Descriptor]) -> bytes:
    """Return the config of the older form: an image for no platform. Its diff ids are the digests of the statements."""
    diff_ids = [one.digest for one in statements]
    config = {"architecture": UNKNOWN.architecture, "os": UNKNOWN.os, "config": {}}
    return msgspec.json.encode({**config, "rootfs": {"type": "layers", "diff_ids": diff_ids}})


def entry(manifest: Manifest, image: Digest) -> Descriptor:
    """Return the index entry of an attestation manifest about `image`. It has no artifactType, as in BuildKit."""
    return entry_of(manifest.descriptor(), image)


def entry_of(manifest: Descriptor, image: Digest) -> Descriptor:
    """As `entry`, for the descriptor of an attestation manifest. Its annotations stay, its artifactType does not."""
    notes = {**manifest.annotations, REFERENCE_DIGEST: image, REFERENCE_TYPE: ATTESTATION_MANIFEST}
    return msgspec.structs.replace(manifest, platform=UNKNOWN, annotations=notes, artifact_type="")


def _load(document: dict[str, object]) -> Manifest:
    manifest = documents.load(documents.encode(document))
    assert isinstance(manifest, Manifest)
    return manifest
