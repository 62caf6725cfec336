"""What an image says of itself, from a real build to each command that reads it."""

import json
from pathlib import Path

import pytest

from polyarch import Polyarch
from polyarch.oci import document as documents
from polyarch.oci import manifest as manifests
from polyarch.oci.attestation import PROVENANCE_V1, SPDX
from polyarch.oci.document import Index
from polyarch.store import Store
from polyarch.transfer import referrers
from scripts.local_registry import LocalRegistry
from tests.integration.conftest import Skopeo
from tests.program import Program

_BUILD = ("build", "-q", "--platform", "linux/amd64,linux/arm64", "--provenance=mode=max", "--sbom=true")


@pytest.fixture
def app(polyarch: Program, registry: LocalRegistry) -> str:
    """An image for two platforms with attestations, in the store and in the registry."""
    name = f"{registry.address}/app:1"
    polyarch(*_BUILD, "-t", name, "-", stdin="FROM scratch\nCOPY <<f /f\nx\nf\n")
    polyarch("push", "-q", name)
    return name


def test_a_build_is_verified_in_every_place(polyarch: Program, app: str, tmp_path: Path) -> None:
    polyarch("save", "-o", tmp_path / "app.tar", app)
    fresh = polyarch.on(tmp_path / "fresh")
    for program, name in ((polyarch, app), (fresh, f"docker://{app}"), (fresh, tmp_path / "app.tar")):
        shown = program("verify-attestations", "--strict", name)
        rows = [line.split()[:2] for line in shown.lines()[1:5]]
        assert rows == [
            [platform, kind]
            for platform in ("linux/amd64", "linux/arm64")
            for kind in ("https://spdx.dev/Document", "https://slsa.dev/provenance/v1")
        ]
        assert shown.lines()[-1].endswith("4 statements hold")
    found = fresh("verify-attestations", "--format", "json", f"docker://{app}").json()
    assert (found["good"], found["problems"]) == (True, [])
    assert found["attestations"][0]["statements"][0]["subjects"][0].startswith("pkg:docker/127.0.0.1")


def test_inspect_shows_them(polyarch: Program, app: str) -> None:
    (shown,) = polyarch("inspect", "--attestations", app).json()
    assert [one["Platform"] for one in shown["Attestations"]] == ["linux/amd64", "linux/arm64"]
    assert shown["Problems"] == []
    (one,) = polyarch("inspect", "--attestations", "--platform", "linux/arm64", app).json()
    assert [found["Platform"] for found in one["Attestations"]] == ["linux/arm64"]


def test_images_counts_and_names_them(polyarch: Program, app: str) -> None:
    assert json.loads(polyarch("images", "--format", "json").stdout)["Attestations"] == 2
    assert "├─ attestation of linux/amd64: SBOM, provenance" in polyarch("images", "-a").stdout
    assert len(polyarch("images").lines()) == 4, "they are not platforms"


def test_an_image_without_attestations_fails(polyarch: Program) -> None:
    polyarch("build", "-q", "-t", "plain", "-", stdin="FROM scratch\nCOPY <<f /f\nx\nf\n")
    failed = polyarch("verify-attestations", "plain", check=False)
    assert failed.status == 1
    assert "error: the image has no attestations [attestation-missing]" in failed.stdout
    assert polyarch("check", "plain").stdout.endswith("is good\n"), "an image needs none"
    (shown,) = polyarch("inspect", "--attestations", "plain").json()
    assert shown["Attestations"] == []


def test_check_finds_an_attestation_about_another_image(polyarch: Program, app: str) -> None:
    """Somebody replaced an image of the index, and left the attestation of the old one."""
    with Store.open(polyarch.root) as store:
        index = store.load(store.resolve(app))
        assert isinstance(index, Index)
        document = index.decode()
        document["manifests"][0], document["manifests"][1] = document["manifests"][1], document["manifests"][0]
        for number, platform in enumerate(("amd64", "arm64")):
            document["manifests"][number]["platform"] = {"os": "linux", "architecture": platform}
        document["manifests"][2]["annotations"]["vnd.docker.reference.digest"] = document["manifests"][0]["digest"]
        changed = documents.load(documents.encode(document))
        store.write_manifest(changed.descriptor(), changed.raw, app)
    failed = polyarch("check", "--format", "json", app, check=False)
    found = {finding["rule"] for finding in json.loads(failed.stdout)["findings"]}
    assert {"attestation-subject", "attestation-platform"} <= found


def test_materials_are_asked_about_on_request(polyarch: Program, registry: LocalRegistry) -> None:
    base, app = f"{registry.address}/base:1", f"{registry.address}/app:1"
    polyarch("build", "-q", "--platform", "linux/amd64", "-t", base, "--push", "-", stdin="FROM scratch\nENV A=1\n")
    polyarch("build", "-q", "--platform", "linux/amd64", "--provenance=true", "-t", app, "-", stdin=f"FROM {base}\n")
    assert polyarch("verify-attestations", "--materials", app).lines()[-1].endswith("1 statement holds")
    registry.stop()
    unknown = polyarch("verify-attestations", "--materials", app)
    assert "could not be verified" in unknown.stdout
    assert polyarch("verify-attestations", "--materials", "--strict", app, check=False).status == 1


def test_a_platform_that_is_pulled_brings_its_attestation(polyarch: Program, app: str, tmp_path: Path) -> None:
    fresh = polyarch.on(tmp_path / "fresh")
    fresh("pull", "-q", "--platform", "linux/arm64", app)
    shown = fresh("verify-attestations", "--platform", "linux/arm64", app)
    assert shown.lines()[-1].endswith("2 statements hold")
    assert "linux/amd64" not in shown.stdout


def test_the_python_client_reads_and_verifies(app: str, polyarch: Program) -> None:
    with Polyarch(root=polyarch.root) as client:
        found = client.images.attestations(app, platforms="linux/arm64")
        assert [kind.predicate_type for one in found for kind in one.statements] == [SPDX, PROVENANCE_V1]
        report = client.images.verify_attestations(app)
        assert report.is_good(strict=True)
        assert client.images.list()[0].platforms[2].attestation


def test_other_tools_read_an_archive_and_a_layout_with_referrers(
    polyarch: Program, skopeo: Skopeo, app: str, tmp_path: Path
) -> None:
    with Store.open(polyarch.root) as store:
        root = store.resolve(app)
        made = manifests.artifact("application/vnd.example.signature", [], root)
        referrers.attach(store, made, {manifests.EMPTY.digest: manifests.EMPTY_CONFIG})
    for form in ("oci", "docker"):
        polyarch("save", "--format", f"{form}-archive", "-o", tmp_path / f"{form}.tar", app)
    assert skopeo.config(f"oci-archive:{tmp_path}/oci.tar:1", "linux/arm64")
    assert skopeo.config(f"docker-archive:{tmp_path}/docker.tar", "linux/amd64")["os"] == "linux"
    fresh = polyarch.on(tmp_path / "fresh")
    assert fresh("load", "-i", tmp_path / "docker.tar").stdout.count("Loaded image") == 1
    with Store.open(fresh.root) as store:
        assert [entry.digest for entry in store.referrers(root.digest)] == [made.digest]
        assert store.kept() == ()


def test_merge_and_manifest_create_carry_what_is_about_their_members(
    polyarch: Program, registry: LocalRegistry, tmp_path: Path
) -> None:
    """Each runner signs what it built; the index of all of them keeps the signatures."""
    signatures = []
    for platform in ("linux/amd64", "linux/arm64"):
        runner = polyarch.on(tmp_path / platform.replace("/", "-"))
        name = f"{registry.address}/app:{platform[6:]}"
        runner("build", "-q", "--platform", platform, "-t", name, "-", stdin="FROM scratch\nCOPY <<f /f\nx\nf\n")
        with Store.open(runner.root) as store:
            made = manifests.artifact("application/vnd.example.signature", [], store.resolve(name))
            referrers.attach(store, made, {manifests.EMPTY.digest: manifests.EMPTY_CONFIG})
            signatures.append((made.subject, made.digest))
        runner("save", "--format", "oci-archive", "-o", tmp_path / f"{platform[6:]}.tar", name)
        runner("push", "-q", name)
    merged, listed = polyarch.on(tmp_path / "merged"), polyarch.on(tmp_path / "listed")
    merged("merge", "-t", "app", tmp_path / "amd64.tar", tmp_path / "arm64.tar")
    listed("manifest", "create", "app", *(f"{registry.address}/app:{name}" for name in ("amd64", "arm64")))
    for program in (merged, listed):
        with Store.open(program.root) as store:
            found = {subject: [entry.digest for entry in entries] for subject, entries in store.referring().items()}
        assert found == {subject: [digest] for subject, digest in signatures}, program.root
