"""`sbom` as a command: tables, documents, files for each platform."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from polyarch import Polyarch
from tests import trees
from tests.program import Program


@pytest.fixture
def app(polyarch: Program, tmp_path: Path) -> str:
    """An image with one Python package for two platforms."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "METADATA").write_text("Name: app\nVersion: 1\nLicense: MIT\n")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY METADATA /lib/app-1.dist-info/\n")
    polyarch("build", "--platform", "linux/amd64,linux/arm64", "-t", "app", context)
    return "app"


def test_a_table_shows_every_platform(polyarch: Program, app: str) -> None:
    rows = [line.split() for line in polyarch("sbom", app).lines()]
    table = [["NAME", "VERSION", "TYPE", "LICENSE"], ["app", "1", "pypi", "MIT"]]
    assert rows == [["linux/amd64"], *table, ["linux/arm64"], *table]


def test_a_document_is_for_one_platform_and_is_the_same_from_an_archive(
    polyarch: Program, app: str, tmp_path: Path
) -> None:
    document = polyarch("sbom", app, "--format", "spdx-json", "--platform", "linux/arm64").stdout
    packages = json.loads(document)["packages"]
    assert [package["name"] for package in packages] == ["app:latest", "app"]
    polyarch("save", "-o", tmp_path / "app.tar", app)
    archived = json.loads(
        polyarch("sbom", tmp_path / "app.tar", "--format", "spdx-json", "--platform", "linux/arm64").stdout
    )
    assert archived["packages"][1:] == packages[1:]


def test_several_documents_need_files_and_each_platform_gets_its_own(
    polyarch: Program, app: str, tmp_path: Path
) -> None:
    words = ("sbom", app, "--platform", "all", "--format", "cyclonedx-json")
    assert "-o FILE" in polyarch.fails(*words).stderr
    polyarch(*words, "-o", tmp_path / "app.cdx.json")
    written = {path.name: json.loads(path.read_bytes()) for path in tmp_path.glob("*.cdx.json")}
    assert sorted(written) == ["app.linux_amd64.cdx.json", "app.linux_arm64.cdx.json"]
    assert [one["purl"] for one in written["app.linux_arm64.cdx.json"]["components"]] == ["pkg:pypi/app@1"]


def test_an_unknown_platform_or_image_or_directory_is_an_error_with_a_hint(
    polyarch: Program, app: str, tmp_path: Path
) -> None:
    assert "it is for linux/amd64, linux/arm64" in polyarch.fails("sbom", app, "--platform", "linux/s390x").stderr
    assert "absent.tar" in polyarch.fails("sbom", "./absent.tar").stderr
    assert "cannot be written" in polyarch.fails("sbom", app, "-o", tmp_path / "no" / "file").stderr


def test_a_platform_that_cannot_be_read_is_an_error_and_not_left_out(
    polyarch: Program, app: str, tmp_path: Path
) -> None:
    polyarch("save", "--format", "oci-archive", "-o", tmp_path / "app.tar", app)
    layout = trees.unpack(tmp_path / "app.tar", tmp_path / "layout")
    (entry,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    index = json.loads((layout / "blobs/sha256" / entry["digest"].removeprefix("sha256:")).read_bytes())
    (layout / "blobs/sha256" / index["manifests"][1]["digest"].removeprefix("sha256:")).unlink()
    failed = polyarch.fails("sbom", layout)
    assert "for linux/arm64 cannot be read" in failed.stderr
    assert "--platform" in failed.stderr
    assert "pypi" in polyarch("sbom", layout, "--platform", "linux/amd64").stdout


def test_what_could_not_be_read_is_a_warning(polyarch: Program, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        member = tarfile.TarInfo("app/node_modules/a/package.json")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"{"))
    polyarch("import", "--platform", "linux/amd64", tmp_path / "bad.tar", "bad")
    result = polyarch("sbom", "bad")
    assert result.stdout == "no packages found\n"
    assert "warning: linux/amd64: /app/node_modules/a/package.json: it is not JSON" in result.stderr


def test_the_client_returns_the_same_documents(polyarch: Program, app: str) -> None:
    document = polyarch("sbom", app, "--format", "spdx-json", "--platform", "linux/arm64").stdout
    with Polyarch(root=polyarch.root) as client:
        bills = client.images.sbom(app, platforms="linux/arm64")
        assert [str(bill.platform) for bill in client.images.sbom(app)] == ["linux/amd64", "linux/arm64"]
    assert [bill.to_spdx().decode() for bill in bills] == [document]
