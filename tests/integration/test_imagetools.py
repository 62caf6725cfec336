"""`buildx imagetools`: images created from images of registries, with buildx's options."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from polyarch.oci import attestation as attestations
from polyarch.oci import digest as digests
from polyarch.oci import document as documents
from polyarch.oci import manifest as manifests
from polyarch.oci import media_types
from polyarch.oci import platform as platforms
from polyarch.oci.attestation import IN_TOTO, PROVENANCE_V1
from polyarch.oci.descriptor import REFERENCE_DIGEST, REFERENCE_TYPE, Descriptor
from polyarch.oci.document import Index
from polyarch.store import Store
from polyarch.transfer import referrers
from scripts.local_registry import LocalRegistry
from tests.integration.conftest import Skopeo
from tests.oci import schemas
from tests.oci.examples import AMD64, ARM64, S390X, attestation, image, index
from tests.program import Program
from tests.registry.referring import serving_referrers


@pytest.fixture
def app(polyarch: Program, store: Store, registry: LocalRegistry) -> str:
    """A repository in the registry: `:amd64`, `:arm64`, and `:both` with an attestation of its arm64 image."""
    name = f"{registry.address}/app"
    one, two = image(store, AMD64, name=f"{name}:amd64"), image(store, ARM64, name=f"{name}:arm64")
    index(store, [one, two, _statement(store, two)], name=f"{name}:both")
    for tag in ("amd64", "arm64", "both"):
        polyarch("push", "-q", f"{name}:{tag}")
    return name


def _statement(store: Store, subject: Descriptor) -> Descriptor:
    """An attestation with a provenance and a bill of materials in it."""
    entry = attestation(store, subject)
    document = json.loads(store.read_manifest(entry))
    document["layers"] = []
    for kind, predicate in (
        ("https://slsa.dev/provenance/v1", {"how": "built"}),
        ("https://spdx.dev/Document", {"of": "files"}),
    ):
        raw = json.dumps(
            {"_type": "https://in-toto.io/Statement/v1", "predicateType": kind, "predicate": predicate}
        ).encode()
        layer = Descriptor(media_type="application/vnd.in-toto+json", digest=digests.of(raw), size=len(raw))
        store.write_blob(layer, io.BytesIO(raw))
        described = {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size}
        document["layers"].append(described | {"annotations": {"in-toto.io/predicate-type": kind}})
    manifest = documents.load(documents.encode(document))
    store.write_manifest(manifest.descriptor(), manifest.raw)
    return manifest.descriptor(entry.platform, dict(entry.annotations))


def _remote(skopeo: Skopeo, name: str) -> Any:
    raw = skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{name}").stdout
    schemas.validate(raw.encode(), json.loads(raw)["mediaType"])
    return json.loads(raw)


def _architectures(document: Any) -> list[str]:
    return [entry["platform"]["architecture"] for entry in document["manifests"]]


class TestCreate:
    """From names to a tag."""

    def test_two_images_become_an_index_and_no_layer_is_moved(
        self, polyarch: Program, app: str, registry: LocalRegistry, skopeo: Skopeo, tmp_path: Path
    ) -> None:
        before = len(registry.requests())
        metadata = tmp_path / "metadata.json"
        fresh = polyarch.on(tmp_path / "fresh")
        words = ["-t", f"{app}:1", f"{app}:amd64", f"{app}:arm64"]
        assert fresh("buildx", "imagetools", "create", "--metadata-file", metadata, *words).stdout == ""
        assert _architectures(_remote(skopeo, f"{app}:1")) == ["amd64", "arm64"]
        assert not any(line.startswith(("PATCH", "POST")) for line in registry.requests()[before:])
        told = json.loads(metadata.read_text())
        raw = fresh("buildx", "imagetools", "inspect", "--raw", f"{app}:1").stdout
        assert told["containerimage.digest"] == f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}"
        assert told["containerimage.descriptor"]["mediaType"] == media_types.OCI_INDEX
        assert told["image.name"] == f"{app}:1"
        assert fresh("images", "-q").stdout == "", "nothing gets a name in the store"

    def test_another_registry_gets_the_blobs_as_well(
        self, polyarch: Program, app: str, second_registry: LocalRegistry, skopeo: Skopeo, tmp_path: Path
    ) -> None:
        there = f"{second_registry.address}/copy:1"
        polyarch("buildx", "imagetools", "create", "-t", there, "-t", f"{app}:1", f"{app}:both")
        assert _remote(skopeo, there) == _remote(skopeo, f"{app}:both"), "a single index is carried over as it is"
        assert _remote(skopeo, f"{app}:1") == _remote(skopeo, f"{app}:both")
        skopeo.unpack(f"docker://{there}", "linux/arm64", tmp_path / "unpacked")

    def test_append_adds_and_keeps_every_annotation(
        self, polyarch: Program, store: Store, app: str, skopeo: Skopeo
    ) -> None:
        notes = ["--annotation", "index:team=blue", "--annotation", "manifest-descriptor[linux/arm64]:tested=yes"]
        polyarch("buildx", "imagetools", "create", *notes, "-t", f"{app}:1", f"{app}:amd64", f"{app}:arm64")
        image(store, S390X, name=f"{app}:s390x")
        polyarch("push", "-q", f"{app}:s390x")
        polyarch("buildx", "imagetools", "create", "--append", "-t", f"{app}:1", f"{app}:s390x", f"{app}:arm64")
        found = _remote(skopeo, f"{app}:1")
        assert _architectures(found) == ["amd64", "arm64", "s390x"]
        assert found["annotations"] == {"team": "blue"}
        assert found["manifests"][1]["annotations"] == {"tested": "yes"}

    def test_the_order_is_the_one_that_it_is_given(self, polyarch: Program, store: Store, app: str) -> None:
        for name in ("v3", "v2"):
            image(store, platforms.parse(f"linux/amd64/{name}"), name=f"{app}:{name}")
            polyarch("push", "-q", f"{app}:{name}")
        words = ["--dry-run", "-t", f"{app}:never", f"{app}:v3", f"{app}:v2", f"{app}:amd64"]
        shown = polyarch("buildx", "imagetools", "create", *words).json()
        assert [entry["platform"].get("variant") for entry in shown["manifests"]] == ["v3", "v2", None]

    def test_a_dry_run_prints_what_would_be_and_writes_nothing(
        self, polyarch: Program, app: str, registry: LocalRegistry
    ) -> None:
        before = len(registry.requests())
        words = ["--dry-run", "-p", "linux/arm64", "-t", f"{app}:never", f"{app}:both"]
        shown = polyarch("buildx", "imagetools", "create", *words).json()
        assert _architectures(shown) == ["arm64", "unknown"], "an attestation follows its image"
        assert all(line.startswith(("GET", "HEAD")) for line in registry.requests()[before:])

    def test_a_single_image_stays_one_unless_an_index_is_preferred(
        self, polyarch: Program, app: str, skopeo: Skopeo
    ) -> None:
        polyarch("buildx", "imagetools", "create", "-t", f"{app}:1", f"{app}:amd64")
        assert _architectures(_remote(skopeo, f"{app}:1")) == ["amd64"]
        polyarch("buildx", "imagetools", "create", "--prefer-index=false", "-t", f"{app}:2", f"{app}:amd64")
        assert _remote(skopeo, f"{app}:2") == _remote(skopeo, f"{app}:amd64")

    def test_a_file_gives_a_descriptor_with_words_of_its_own(
        self, polyarch: Program, app: str, skopeo: Skopeo, tmp_path: Path
    ) -> None:
        digest = polyarch("buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}", f"{app}:arm64").stdout
        described = {"digest": digest.strip(), "platform": {"os": "linux", "architecture": "arm64", "variant": "v9"}}
        (tmp_path / "arm64.json").write_text(json.dumps(described | {"annotations": {"k": "v"}}))
        polyarch("buildx", "imagetools", "create", "-t", f"{app}:1", "-f", tmp_path / "arm64.json", f"{app}:amd64")
        (entry,) = (entry for entry in _remote(skopeo, f"{app}:1")["manifests"] if "annotations" in entry)
        assert entry["platform"]["variant"] == "v9"
        assert entry["annotations"] == {"k": "v"}
        (tmp_path / "empty.json").write_text("{}")
        refused = polyarch.fails("buildx", "imagetools", "create", "-t", f"{app}:1", "-f", tmp_path / "empty.json")
        assert "has no digest" in refused.stderr

    def test_layouts_need_no_registry(self, polyarch: Program, app: str, skopeo: Skopeo, tmp_path: Path) -> None:
        polyarch("buildx", "imagetools", "create", "-t", f"oci-layout://{tmp_path}/layout:1", f"{app}:both")
        assert skopeo.config(f"oci:{tmp_path}/layout:1", "linux/arm64")["architecture"] == "arm64"
        polyarch("buildx", "imagetools", "create", "-t", f"{app}:back", f"oci-layout://{tmp_path}/layout:1")
        assert _remote(skopeo, f"{app}:back") == _remote(skopeo, f"{app}:both")

    def test_what_cannot_be_made_leaves_the_tag_alone(self, polyarch: Program, app: str, skopeo: Skopeo) -> None:
        before = _remote(skopeo, f"{app}:both")
        create = ["buildx", "imagetools", "create", "-t", f"{app}:both"]
        assert "manifest unknown" in polyarch.fails(*create, f"{app}:amd64", f"{app}:none").stderr
        lacking = polyarch.fails(*create, "-p", "linux/riscv64", f"{app}:both")
        assert "there is no image for linux/riscv64" in lacking.stderr
        assert "linux/amd64, linux/arm64" in lacking.stderr
        assert polyarch.fails("buildx", "imagetools", "create", f"{app}:both").status == 2
        assert polyarch.fails(*create, "--annotation", "manifest:k=v", f"{app}:amd64").status == 2
        assert _remote(skopeo, f"{app}:both") == before


class TestInspect:
    """What the registry has, in words or through a template."""

    def test_inspect_describes_an_index_in_words(self, polyarch: Program, app: str) -> None:
        lines = polyarch("buildx", "imagetools", "inspect", f"{app}:both").lines()
        assert lines[0] == f"Name:      {app}:both"
        assert lines[1] == f"MediaType: {media_types.OCI_INDEX}"
        assert lines[2].startswith("Digest:    sha256:")
        assert [line.split()[1] for line in lines if "Platform:" in line] == [
            "linux/amd64",
            "linux/arm64",
            "unknown/unknown",
        ]
        assert any("vnd.docker.reference.digest: sha256:" in line for line in lines)

    def test_a_template_reaches_manifests_configs_provenance_and_bills_of_materials(
        self, polyarch: Program, app: str
    ) -> None:
        def shown(template: str) -> str:
            return polyarch("buildx", "imagetools", "inspect", "--format", template, f"{app}:both").stdout.strip()

        assert shown("{{.Name}} {{len .Manifest.Manifests}}") == f"{app}:both 3"
        assert shown('{{(index .Image "linux/arm64").Architecture}}') == "arm64"
        assert json.loads(shown('{{json (index .Provenance "linux/arm64").SLSA}}')) == {"how": "built"}
        assert json.loads(shown('{{json (index .SBOM "linux/arm64").SPDX}}')) == {"of": "files"}
        assert list(json.loads(shown("{{json .}}"))) == ["name", "manifest", "image"], "as in buildx"

    def test_raw_is_byte_for_byte_what_the_registry_has(
        self, polyarch: Program, app: str, registry: LocalRegistry
    ) -> None:
        raw = polyarch("buildx", "imagetools", "inspect", "--raw", f"{app}:both").stdout.encode()
        assert raw == registry.blob_path(f"sha256:{hashlib.sha256(raw).hexdigest()}").read_bytes()

    def test_the_store_is_not_meant(self, polyarch: Program, store: Store, app: str) -> None:
        image(store, AMD64, name=f"{app}:only-here")
        assert "manifest unknown" in polyarch.fails("buildx", "imagetools", "inspect", f"{app}:only-here").stderr


@pytest.mark.parametrize("form", ["type=image,name={}", "type=registry,name={}"])
def test_what_several_runners_pushed_by_digest_becomes_one_image(
    polyarch: Program, fresh: Program, registry: LocalRegistry, skopeo: Skopeo, tmp_path: Path, form: str
) -> None:
    """docker's recipe for builds on several machines: no runner makes a tag, the last job makes the only one."""
    repository = f"{registry.address}/team/app"
    digests_made = []
    for runner, platform in ((polyarch, "linux/amd64"), (fresh, "linux/arm64")):
        output = f"{form.format(repository)},push-by-digest=true,name-canonical=true,push=true"
        metadata = tmp_path / "metadata.json"
        arguments = ("--platform", platform, "-o", output, "--metadata-file", metadata)
        runner("build", *arguments, "-", stdin="FROM scratch\nCOPY <<f /f\nx\nf\n")
        made = json.loads(metadata.read_text())
        assert made["image.name"] == repository
        digests_made.append(made["containerimage.digest"])
        assert runner("images").lines()[1:] == []
    assert not any("/manifests/latest" in line for line in registry.requests())
    sources = [f"{repository}@{digest}" for digest in digests_made]
    polyarch("buildx", "imagetools", "create", "-t", f"{repository}:1", *sources)
    entries = skopeo.raw(f"docker://{repository}:1")["manifests"]
    assert [entry["digest"] for entry in entries] == digests_made


def test_a_name_with_a_tag_is_not_pushed_by_digest(polyarch: Program) -> None:
    output = "type=image,push-by-digest=true,push=true"
    failed = polyarch.fails(
        "build", "-t", "localhost:1/app:1", "-o", output, "-", stdin="FROM scratch\nCOPY <<f /f\nf\n"
    )
    assert "localhost:1/app:1 has a tag, and push-by-digest gives none" in failed.stderr


def _referred(store: Store, subject: Descriptor) -> Descriptor:
    """An attestation that no index names: a referrer of the image, as other builders attach it."""
    raw = json.dumps({"_type": "https://in-toto.io/Statement/v1", "predicateType": PROVENANCE_V1}).encode()
    stored = Descriptor(IN_TOTO, digests.of(raw), len(raw))
    made = attestations.artifact(subject, [attestations.statement(stored, PROVENANCE_V1)])
    return referrers.attach(store, made, {stored.digest: raw, made.config.digest: attestations.EMPTY_CONFIG})


class TestReferrers:
    """Copies carry what is about an image; `create` lists an attestation that no index lists."""

    def test_an_attestation_that_is_only_a_referrer_gets_an_entry(
        self, polyarch: Program, store: Store, registry: LocalRegistry, skopeo: Skopeo, tmp_path: Path
    ) -> None:
        name = f"{registry.address}/app"
        one, two = image(store, AMD64, name=f"{name}:amd64"), image(store, ARM64, name=f"{name}:arm64")
        about = _referred(store, one)
        for tag in ("amd64", "arm64"):
            polyarch("push", "-q", f"{name}:{tag}")
        fresh = polyarch.on(tmp_path / "fresh")
        fresh("buildx", "imagetools", "create", "-t", f"{name}:1", f"{name}:amd64", f"{name}:arm64")
        entries = _remote(skopeo, f"{name}:1")["manifests"]
        assert [entry["digest"] for entry in entries] == [one.digest, two.digest, about.digest]
        assert entries[2]["platform"] == {"architecture": "unknown", "os": "unknown"}
        assert entries[2]["annotations"] == {REFERENCE_TYPE: "attestation-manifest", REFERENCE_DIGEST: one.digest}
        fresh("buildx", "imagetools", "create", "-t", f"{name}:2", f"{name}:1")
        assert _remote(skopeo, f"{name}:2") == _remote(skopeo, f"{name}:1"), "what is listed is not listed again"
        inspect = ("buildx", "imagetools", "inspect", "--format", '{{json (index .Provenance "linux/amd64")}}')
        assert fresh(*inspect, f"{name}:2").json() == {}

    def test_a_copy_to_another_registry_carries_referrers_of_attestations(
        self, polyarch: Program, store: Store, app: str, second_registry: LocalRegistry, tmp_path: Path
    ) -> None:
        attested = store.load(store.resolve(f"{app}:both"))
        assert isinstance(attested, Index)
        raw = b"signature"
        layer = Descriptor("text/plain", digests.of(raw), len(raw))
        made = manifests.artifact("application/vnd.example.signature", [layer], attested.manifests[2])
        signature = referrers.attach(store, made, {layer.digest: raw, made.config.digest: attestations.EMPTY_CONFIG})
        polyarch("push", "-q", f"{app}:both")
        there = f"{second_registry.address}/copy"
        polyarch.on(tmp_path / "fresh")("buildx", "imagetools", "create", "-t", f"{there}:1", f"{app}:both")
        fresh = polyarch.on(tmp_path / "fresher")
        fresh("pull", "-q", "--platform", "linux/arm64", f"{there}:1")
        with Store.open(fresh.root) as pulled:
            assert [entry.digest for entry in pulled.referrers(attested.manifests[2].digest)] == [signature.digest]

    def test_a_registry_that_lies_about_a_subject_is_warned_of(
        self, polyarch: Program, store: Store, tmp_path: Path
    ) -> None:
        with serving_referrers() as lying:
            name = f"{lying.address}/app"
            one, other = image(store, AMD64, name=f"{name}:1"), image(store, ARM64, name=f"{name}:2")
            about = _referred(store, other)
            for tag in ("1", "2"):
                polyarch("push", "-q", f"{name}:{tag}")
            listed = {"mediaType": about.media_type, "digest": about.digest, "size": about.size}
            lying.lies = {one.digest: [listed | {"artifactType": attestations.ARTIFACT_TYPE}]}
            for number, command in enumerate((("buildx", "imagetools", "create", "-t"), ("manifest", "create"))):
                fresh = polyarch.on(tmp_path / f"fresh{number}")
                made = fresh(*command, f"{name}:both{number}", f"{name}:1")
                assert f"but it is about {other.digest}" in made.stderr
            assert len(json.loads(fresh("manifest", "inspect", f"{name}:both0").stdout)["manifests"]) == 1
