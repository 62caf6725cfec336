"""The manifests of attestations are those that BuildKit writes."""

import json

from polyarch.oci import attestation, digest
from polyarch.oci import document as documents
from polyarch.oci.attestation import EMPTY, EMPTY_CONFIG
from polyarch.oci.descriptor import Descriptor
from polyarch.oci.digest import Digest
from polyarch.oci.platform import Platform

IMAGE = Descriptor(
    media_type="application/vnd.oci.image.manifest.v1+json",
    digest=Digest("sha256:" + "23" * 32),
    size=1234,
    platform=Platform(os="linux", architecture="amd64"),
    annotations={"a": "b"},
)
STORED = Descriptor(media_type="", digest=Digest("sha256:" + "13" * 32), size=99)
# moby/buildkit, docs/attestations/attestation-storage.md, with other digests.
ARTIFACT = """{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.manifest.v1+json",
  "artifactType": "application/vnd.docker.attestation.manifest.v1+json",
  "config": {
    "mediaType": "application/vnd.oci.empty.v1+json",
    "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "size": 2,
    "data": "e30="
  },
  "layers": [
    {
      "mediaType": "application/vnd.in-toto+json",
      "digest": "sha256:1313131313131313131313131313131313131313131313131313131313131313",
      "size": 99,
      "annotations": {
        "in-toto.io/predicate-type": "https://spdx.dev/Document"
      }
    }
  ],
  "subject": {
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "digest": "sha256:2323232323232323232323232323232323232323232323232323232323232323",
    "size": 1234
  }
}"""


def test_an_artifact_names_the_image_as_its_subject() -> None:
    made = attestation.artifact(IMAGE, [attestation.statement(STORED, attestation.SPDX)])
    assert made.raw.decode() == ARTIFACT
    assert made.subject == IMAGE.digest
    assert not made.is_image


def test_the_empty_config_has_the_digest_of_its_content() -> None:
    assert digest.of(EMPTY_CONFIG) == EMPTY.digest
    assert len(EMPTY_CONFIG) == EMPTY.size


def test_the_older_form_looks_like_an_image_for_no_platform() -> None:
    statements = [attestation.statement(STORED, attestation.PROVENANCE_V1)]
    raw = attestation.classic_config(statements)
    made = attestation.classic(Descriptor(media_type="", digest=digest.of(raw), size=len(raw)), statements)
    assert json.loads(raw) == {
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [STORED.digest]},
    }
    assert set(made.decode()) == {"schemaVersion", "mediaType", "config", "layers"}
    assert made.config == Descriptor(
        media_type="application/vnd.oci.image.config.v1+json", digest=digest.of(raw), size=len(raw)
    )


def test_the_entry_refers_to_the_image_and_has_no_artifact_type() -> None:
    made = attestation.artifact(IMAGE, [attestation.statement(STORED, attestation.SPDX)])
    entry = attestation.entry(made, IMAGE.digest)
    assert documents.encode({"entry": entry}) == documents.encode(
        {
            "entry": {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": made.digest,
                "size": len(made.raw),
                "annotations": {
                    "vnd.docker.reference.digest": IMAGE.digest,
                    "vnd.docker.reference.type": "attestation-manifest",
                },
                "platform": {"architecture": "unknown", "os": "unknown"},
            }
        }
    )
    assert entry.is_attestation
