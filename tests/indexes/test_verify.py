"""Whether attestations hold: in both of BuildKit's forms, and each lie that one could tell."""

import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from polyarch.errors import CorruptError, NotFoundError, RegistryError
from polyarch.indexes import materials, verify
from polyarch.indexes.verify import AttestationReport
from polyarch.oci import attestation as attestations
from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import manifest as manifests
from polyarch.oci.attestation import CYCLONEDX, IN_TOTO, PROVENANCE_V02, PROVENANCE_V1, SPDX, STATEMENT
from polyarch.oci.descriptor import REFERENCE_DIGEST, REFERENCE_TYPE, Descriptor
from polyarch.oci.document import Manifest
from polyarch.registry import Credentials, Hosts, Registry
from polyarch.transfer import referrers
from polyarch.transfer.layout import OciLayout, blob_path
from tests.oci.examples import AMD64, ARM64, image, index

_MATERIAL = {"uri": "pkg:docker/alpine@3.20?platform=linux%2Famd64", "digest": {"sha256": "a" * 64}}


@pytest.fixture
def layout(tmp_path: Path) -> OciLayout:
    return OciLayout.create(tmp_path / "layout")


def statement(about: Descriptor, kind: str, content: Any, **changed: Any) -> bytes:
    subject = {
        "name": "pkg:docker/app@1?platform=" + str(about.platform).replace("/", "%2F"),
        "digest": {"sha256": digests.encoded(about.digest)},
    }
    return json.dumps(
        {"_type": STATEMENT, "predicateType": kind, "subject": [subject], "predicate": content} | changed
    ).encode()


def provenance(layout: OciLayout, about: Descriptor, **changed: Any) -> dict[str, Any]:
    document = documents.load(layout.read_manifest(about))
    assert isinstance(document, Manifest)
    layers = [[{"digest": layer.digest, "size": layer.size} for layer in document.layers]]
    return {
        "buildDefinition": {"buildType": "test", "resolvedDependencies": [_MATERIAL]},
        "runDetails": {"metadata": {"buildkit_metadata": {"layers": {"step0:0": layers}}}},
    } | changed


def laid(layout: OciLayout, raw: bytes, kind: str) -> Descriptor:
    stored = Descriptor(IN_TOTO, digests.of(raw), len(raw))
    layout.write_blob(stored, io.BytesIO(raw))
    return attestations.statement(stored, kind)


def entry(layout: OciLayout, about: Descriptor, layers: list[Descriptor], *, classic: bool = False) -> Descriptor:
    if classic:
        raw = attestations.classic_config(layers)
        config = Descriptor("", digests.of(raw), len(raw))
        layout.write_blob(config, io.BytesIO(raw))
        made = attestations.classic(config, layers)
    else:
        layout.write_blob(attestations.EMPTY, io.BytesIO(attestations.EMPTY_CONFIG))
        made = attestations.artifact(about, layers)
    layout.write_manifest(made.descriptor(), made.raw)
    return attestations.entry(made, about.digest)


def attested(layout: OciLayout, about: Descriptor, *, classic: bool = False) -> Descriptor:
    """An attestation with an SBOM and a provenance, which holds."""
    bill = laid(layout, statement(about, SPDX, {"spdxVersion": "SPDX-2.3"}), SPDX)
    made = laid(layout, statement(about, PROVENANCE_V1, provenance(layout, about)), PROVENANCE_V1)
    return entry(layout, about, [bill, made], classic=classic)


def verified(layout: OciLayout, root: Descriptor, **options: Any) -> AttestationReport:
    return verify.verify(layout, root, "app", **options)


def rules(report: AttestationReport) -> list[tuple[str, str]]:
    return [(problem.severity, problem.rule) for problem in report.problems]


class TestGood:
    @pytest.mark.parametrize("classic", [False, True])
    def test_both_forms_hold(self, layout: OciLayout, classic: bool) -> None:
        one, two = image(layout, AMD64), image(layout, ARM64)
        about = [attested(layout, subject, classic=classic) for subject in (one, two)]
        report = verified(layout, index(layout, [one, two, *about]))
        assert report.problems == ()
        assert report.is_good(strict=True)
        assert [(found.platform, found.image, found.listed) for found in report.attestations] == [
            ("linux/amd64", one.digest, "index"),
            ("linux/arm64", two.digest, "index"),
        ]
        bill, made = report.attestations[1].statements
        assert (bill.predicate_type, bill.subjects) == (SPDX, ("pkg:docker/app@1?platform=linux%2Farm64",))
        assert (made.predicate_type, made.materials) == (PROVENANCE_V1, 1)

    def test_an_entry_that_is_there_twice_counts_once(self, layout: OciLayout) -> None:
        """As `buildah manifest push --add-compression` writes it."""
        one = image(layout, AMD64)
        about = attested(layout, one)
        report = verified(layout, index(layout, [one, about, about]))
        assert [found.digest for found in report.attestations] == [about.digest]
        assert report.problems == ()

    def test_statements_without_subjects_hold(self, layout: OciLayout) -> None:
        """BuildKit names no subject of an image that had no name."""
        one = image(layout, AMD64)
        made = laid(layout, statement(one, PROVENANCE_V1, provenance(layout, one), subject=[]), PROVENANCE_V1)
        assert verified(layout, index(layout, [one, entry(layout, one, [made])])).problems == ()

    def test_an_attestation_may_be_only_a_referrer_of_a_single_image(self, layout: OciLayout) -> None:
        one = image(layout, AMD64, name="app")
        raw = statement(one, CYCLONEDX, {"bomFormat": "CycloneDX"})
        made = attestations.artifact(one, [laid(layout, raw, CYCLONEDX)])
        referrers.attach(layout, made, {attestations.EMPTY.digest: attestations.EMPTY_CONFIG})
        report = verified(layout, one)
        assert report.problems == ()
        (found,) = report.attestations
        assert (found.listed, found.platform) == ("referrer", "linux/amd64")

    def test_signatures_of_the_image_the_index_and_the_attestation_are_shown(self, layout: OciLayout) -> None:
        one = image(layout, AMD64)
        about = attested(layout, one)
        root = index(layout, [one, about])
        empty = {attestations.EMPTY.digest: attestations.EMPTY_CONFIG}
        signed = [
            referrers.attach(layout, manifests.artifact("application/x.signature", [], subject), empty).digest
            for subject in (one, about, root)
        ]
        report = verified(layout, root)
        assert report.problems == ()
        assert [(found.digest, found.signatures) for found in report.attestations] == [
            (about.digest, (signed[1],)),
            (signed[0], ()),
            (signed[2], ()),
        ]

    def test_the_older_provenance_is_read(self, layout: OciLayout) -> None:
        one = image(layout, AMD64)
        old = {"buildType": "https://mobyproject.org/buildkit@v1", "materials": [_MATERIAL, _MATERIAL]}
        made = laid(layout, statement(one, PROVENANCE_V02, old), PROVENANCE_V02)
        report = verified(layout, index(layout, [one, entry(layout, one, [made])]))
        assert report.problems == ()
        assert report.attestations[0].statements[0].materials == 2

    def test_only_the_wanted_platforms_count(self, layout: OciLayout) -> None:
        one, two = image(layout, AMD64), image(layout, ARM64)
        root = index(layout, [one, two, attested(layout, one)])
        assert rules(verified(layout, root)) == [("warning", "attestation-missing")]
        assert verified(layout, root, wanted=(AMD64,)).problems == ()
        assert rules(verified(layout, root, wanted=(ARM64,))) == [("error", "attestation-missing")]


class TestAbsent:
    def test_an_image_without_attestations_is_not_good(self, layout: OciLayout) -> None:
        report = verified(layout, image(layout, AMD64))
        assert rules(report) == [("error", "attestation-missing")]
        assert not report.is_good()

    def test_an_attestation_of_nothing_dangles(self, layout: OciLayout) -> None:
        one, gone = image(layout, AMD64), image(layout, ARM64)
        root = index(layout, [one, attested(layout, one), attested(layout, gone)])
        report = verified(layout, root)
        assert rules(report) == [("error", "attestation-dangling")]
        assert f"is an attestation about {gone.digest}, which the index does not have" in report.problems[0].message

    def test_a_missing_manifest_and_a_missing_statement_are_named(self, layout: OciLayout) -> None:
        one, two = image(layout, AMD64), image(layout, ARM64)
        about = [attested(layout, subject) for subject in (one, two)]
        root = index(layout, [one, two, *about])
        document = documents.load(layout.read_manifest(about[1]))
        assert isinstance(document, Manifest)
        Path(layout.where, blob_path(about[0].digest)).unlink()
        Path(layout.where, blob_path(document.layers[0].digest)).unlink()
        report = verified(layout, root)
        assert ("error", "blob-missing") in rules(report)
        assert sum(rule == "blob-missing" for _, rule in rules(report)) == 2
        missing = [problem for problem in report.problems if problem.rule == "blob-missing"]
        assert [problem.platform for problem in missing] == ["linux/amd64", "linux/arm64"]


def _changed(layout: OciLayout, about: Descriptor, change: dict[str, Any]) -> Descriptor:
    """The attestation of `about` with other fields."""
    found = attested(layout, about)
    document = documents.load(layout.read_manifest(found)).decode() | change
    made = documents.load(documents.encode(document))
    layout.write_manifest(made.descriptor(), made.raw)
    assert isinstance(made, Manifest)
    return attestations.entry(made, about.digest)


class TestLies:
    """Of the manifest, and of its entry."""

    @pytest.mark.parametrize(
        ("change", "found"),
        [
            ({"digest": "sha256:" + "0" * 64}, ("error", "attestation-subject")),
            ({"digest": "nonsense"}, ("error", "attestation-subject")),
            ({"size": 5}, ("error", "size-mismatch")),
            ({"mediaType": "text/plain"}, ("warning", "attestation-type")),
        ],
    )
    def test_the_subject(self, layout: OciLayout, change: dict[str, Any], found: tuple[str, str]) -> None:
        one = image(layout, AMD64)
        subject = {"mediaType": one.media_type, "digest": one.digest, "size": one.size} | change
        root = index(layout, [one, _changed(layout, one, {"subject": subject})])
        assert rules(verified(layout, root)) == [found]

    def test_its_types(self, layout: OciLayout) -> None:
        one = image(layout, AMD64)
        made = _changed(layout, one, {"artifactType": "application/vnd.example"})
        assert rules(verified(layout, index(layout, [one, made]))) == [("warning", "attestation-type")]
        layer = {"mediaType": "text/plain", "digest": digests.of(b"x"), "size": 1}
        made = _changed(layout, one, {"layers": [layer]})
        report = verified(layout, index(layout, [one, made]))
        assert rules(report)[0] == ("error", "attestation-type")
        assert "is of type text/plain, which is not a statement" in report.problems[0].message

    @pytest.mark.parametrize(
        ("change", "found"),
        [
            ({"platform": AMD64}, ("error", "attestation-platform")),
            ({"platform": None}, ("error", "attestation-platform")),
            ({"type": "other"}, ("warning", "attestation-type")),
        ],
    )
    def test_its_entry(self, layout: OciLayout, change: dict[str, Any], found: tuple[str, str]) -> None:
        one = image(layout, AMD64)
        made = attested(layout, one)
        notes = {REFERENCE_TYPE: change.get("type", "attestation-manifest"), REFERENCE_DIGEST: one.digest}
        made = msgspec.structs.replace(made, platform=change.get("platform", made.platform), annotations=notes)
        assert found in rules(verified(layout, index(layout, [one, made])))

    def test_an_index_instead_of_a_manifest(self, layout: OciLayout) -> None:
        one = image(layout, AMD64)
        inner = index(layout, [one])
        lie = msgspec.structs.replace(
            inner,
            platform=attestations.UNKNOWN,
            annotations={REFERENCE_TYPE: "attestation-manifest", REFERENCE_DIGEST: one.digest},
        )
        report = verified(layout, index(layout, [one, lie]))
        assert ("error", "damaged") in rules(report)

    def test_a_referrer_that_is_about_another_image(self, layout: OciLayout, monkeypatch: pytest.MonkeyPatch) -> None:
        one, two = image(layout, AMD64), image(layout, ARM64)
        about_two = entry(layout, two, [laid(layout, statement(two, SPDX, {"spdxVersion": "2.3"}), SPDX)])
        lie = msgspec.structs.replace(about_two, annotations={}, platform=None)
        monkeypatch.setattr(type(layout), "referrers", lambda self, subject: (lie,) if subject == one.digest else ())
        report = verified(layout, one)
        assert set(rules(report)) == {("error", "attestation-subject")}
        assert any(f"is about {two.digest}, not about {one.digest}" in problem.message for problem in report.problems)


class TestStatements:
    """Lies of a statement, and bytes that are none."""

    def _of(self, layout: OciLayout, raw: bytes, kind: str = SPDX) -> AttestationReport:
        one = image(layout, AMD64)
        return verified(layout, index(layout, [one, entry(layout, one, [laid(layout, raw, kind)])]))

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b'{"_type":"https://in-toto.io/Statement/v1","predicateTy',
            b'{"subject":' + b"[" * 5000 + b"]" * 5000 + b"}",
            b'{"subject":{"name":1}}',
            b'{"subject":[{"name":"x","digest":{"sha256":5}}]}',
            b"\xff\xfe",
        ],
    )
    def test_what_is_no_statement_is_damaged(self, layout: OciLayout, raw: bytes) -> None:
        assert ("error", "damaged") in rules(self._of(layout, raw))

    @pytest.mark.parametrize(
        ("changed", "found"),
        [
            ({"_type": "https://example.org"}, ("error", "attestation-type")),
            ({"predicateType": CYCLONEDX, "predicate": {"bomFormat": "x"}}, ("error", "attestation-type")),
            ({"predicate": {}}, ("error", "attestation-type")),
            ({"predicate": [1]}, ("error", "damaged")),
            ({"subject": [{"name": "file", "digest": {"sha256": "0" * 64}}]}, ("warning", "attestation-subject")),
            (
                {"subject": [{"name": "pkg:docker/app@1", "digest": {"sha256": "0" * 64}}]},
                ("error", "attestation-subject"),
            ),
            ({"subject": [{"name": "pkg:docker/", "digest": {}}]}, ("error", "attestation-subject")),
        ],
    )
    def test_its_fields(self, layout: OciLayout, changed: dict[str, Any], found: tuple[str, str]) -> None:
        raw = statement(image(layout, AMD64), SPDX, {"spdxVersion": "SPDX-2.3"}, **changed)
        assert found in rules(self._of(layout, raw))

    def test_the_platform_of_its_subject(self, layout: OciLayout) -> None:
        one = image(layout, AMD64)
        subject = {"name": "pkg:docker/app@1?platform=linux%2Farm64", "digest": {"sha256": digests.encoded(one.digest)}}
        raw = statement(one, SPDX, {"spdxVersion": "SPDX-2.3"}, subject=[subject])
        (problem,) = self._of(layout, raw).problems
        assert problem.rule == "attestation-platform"
        assert "says that the image is for linux/arm64; it is for linux/amd64" in problem.message

    @pytest.mark.parametrize("claimed", [50 << 20, 1 << 60])
    def test_a_huge_statement_is_not_read(self, layout: OciLayout, claimed: int) -> None:
        one = image(layout, AMD64)
        huge = attestations.statement(Descriptor(IN_TOTO, digests.of(b"huge"), claimed), SPDX)
        report = verified(layout, index(layout, [one, entry(layout, one, [huge])]))
        assert rules(report) == [("error", "damaged")]
        assert f"claims {claimed} bytes" in report.problems[0].message

    def test_other_bytes_than_its_digest_says(self, layout: OciLayout) -> None:
        one = image(layout, AMD64)
        layer = laid(layout, statement(one, SPDX, {"spdxVersion": "SPDX-2.3"}), SPDX)
        root = index(layout, [one, entry(layout, one, [layer])])
        path = Path(layout.where, blob_path(layer.digest))
        path.write_bytes(path.read_bytes().replace(b"2.3", b"2.2"))
        assert rules(verified(layout, root)) == [("error", "damaged")]


class TestProvenance:
    def _of(self, layout: OciLayout, **changed: Any) -> AttestationReport:
        one = image(layout, AMD64)
        raw = statement(one, PROVENANCE_V1, provenance(layout, one, **changed))
        return verified(layout, index(layout, [one, entry(layout, one, [laid(layout, raw, PROVENANCE_V1)])]))

    def test_of_another_image(self, layout: OciLayout) -> None:
        other = {"digest": digests.of(b"other"), "size": 5}
        report = self._of(layout, runDetails={"metadata": {"buildkit_metadata": {"layers": {"s": [[other]]}}}})
        assert rules(report) == [("error", "attestation-material")]
        assert "the image has none of them" in report.problems[0].message

    @pytest.mark.parametrize(
        "material", [{"uri": "", "digest": {}}, {"uri": "pkg:docker/a@1", "digest": {"sha256": "short"}}]
    )
    def test_malformed_materials(self, layout: OciLayout, material: dict[str, Any]) -> None:
        report = self._of(layout, buildDefinition={"buildType": "x", "resolvedDependencies": [material]})
        assert rules(report) == [("error", "attestation-material")]

    @pytest.mark.parametrize("changed", [{"buildDefinition": 5}, {"runDetails": {"metadata": []}}])
    def test_malformed_predicates(self, layout: OciLayout, changed: dict[str, Any]) -> None:
        assert rules(self._of(layout, **changed)) == [("error", "damaged")]

    def test_without_a_build_type(self, layout: OciLayout) -> None:
        assert rules(self._of(layout, buildDefinition={})) == [("warning", "attestation-type")]


class TestMaterials:
    """On request, whether what the image was made from still exists."""

    def test_each_is_asked_about_once(self, layout: OciLayout) -> None:
        one, two = image(layout, AMD64), image(layout, ARM64)
        root = index(layout, [one, two, attested(layout, one), attested(layout, two)])
        asked: list[str] = []
        report = verified(layout, root, resolve=lambda material: asked.append(material.uri) or "")
        assert asked == [_MATERIAL["uri"]]
        assert report.problems == ()

    @pytest.mark.parametrize(
        ("error", "severity"),
        [(NotFoundError("gone"), "error"), (CorruptError("impossible"), "error"), (RegistryError("down"), "warning")],
    )
    def test_one_that_is_gone(self, layout: OciLayout, error: Exception, severity: str) -> None:
        def resolve(material: materials.ClaimedMaterial) -> str:
            raise error

        one = image(layout, AMD64)
        report = verified(layout, index(layout, [one, attested(layout, one)]), resolve=resolve)
        assert rules(report) == [(severity, "attestation-material")]

    def test_what_no_registry_knows_is_a_note(self) -> None:
        with Registry(Hosts(), Credentials(None), "polyarch-test") as registry:
            for uri in ("https://example.org/file", "pkg:docker/alpine@3.20"):
                assert "was not verified" in materials.resolve(registry, materials.ClaimedMaterial(uri))
            with pytest.raises(CorruptError, match="is not the package URL of an image"):
                materials.resolve(registry, materials.ClaimedMaterial("pkg:docker/UPPER CASE"))
