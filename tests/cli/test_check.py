"""`check` as a command: what it prints, how it ends, and where it can look."""

import json
import os
from pathlib import Path

import pytest

from scripts.local_registry import LocalRegistry
from tests.program import Program

PLATFORMS = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x"]


@pytest.fixture
def wrong(polyarch: Program, busybox: str, busybox_tars: dict[str, Path]) -> str:
    """An image whose entry for arm64 holds amd64's binary."""
    polyarch("import", "--platform", "linux/amd64", busybox_tars["linux/amd64"], "wrong")
    polyarch("import", "--platform", "linux/arm64", busybox_tars["linux/amd64"], "wrong")
    return "wrong"


def test_an_image_that_is_right_ends_with_0_and_is_called_good(polyarch: Program, busybox: str) -> None:
    result = polyarch("check", busybox)
    assert [line.split()[0] for line in result.lines()[:4]] == PLATFORMS
    assert result.lines()[-1] == "busybox:latest is good"
    assert polyarch("check", "--quiet", busybox).stdout == ""


def test_a_wrong_image_ends_with_1_and_names_platform_path_layer_and_step(polyarch: Program, wrong: str) -> None:
    result = polyarch("check", wrong, check=False)
    assert result.status == 1
    said = result.stdout
    assert said.index("linux/amd64 (1 binary): nothing found") < said.index("linux/arm64 (1 binary)")
    assert "error: a binary for amd64 in an image for arm64 [foreign-binary]" in said
    assert "/bin/busybox" in said
    assert "layer " in said
    assert result.lines()[-1] == "wrong:latest: 1 error"


def test_platforms_and_patterns_narrow_what_is_wrong(polyarch: Program, wrong: str) -> None:
    polyarch("check", "--platform", "linux/amd64", wrong)
    polyarch("check", "--allow", "/bin/busybox", wrong)
    assert "linux/s390x" in polyarch.fails("check", "--platform", "linux/s390x", wrong).stderr


def test_strict_minds_warnings(polyarch: Program, busybox_tars: dict[str, Path]) -> None:
    polyarch("import", "--platform", "linux/arm64", busybox_tars["linux/arm/v7"], "mixed")
    polyarch("check", "mixed")
    assert polyarch("check", "--strict", "mixed", check=False).status == 1


def test_json_has_all_findings(polyarch: Program, wrong: str) -> None:
    result = polyarch("check", "--json", wrong, check=False)
    assert result.status == 1
    document = result.json()
    assert document["good"] is False
    assert [image["platform"] for image in document["images"]] == ["linux/amd64", "linux/arm64"]
    (finding,) = document["findings"]
    assert finding["rule"] == "foreign-binary"
    assert finding["path"] == "/bin/busybox"
    assert finding["layer"].startswith("sha256:")
    assert finding["step"]


def test_sarif_has_a_rule_for_each_result(polyarch: Program, wrong: str) -> None:
    result = polyarch("check", "--format", "sarif", wrong, check=False)
    assert result.status == 1
    log = result.json()
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    (found,) = run["results"]
    assert run["tool"]["driver"]["rules"][found["ruleIndex"]]["id"] == found["ruleId"] == "foreign-binary"
    assert found["level"] == "error"
    assert found["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "bin/busybox"
    assert "linux/arm64" in found["message"]["text"]


def test_a_layout_and_an_archive_are_checked_where_they_lie(polyarch: Program, wrong: str, tmp_path: Path) -> None:
    archive = tmp_path / "wrong.tar"
    polyarch("save", "-o", archive, wrong)
    layout = tmp_path / "layout"
    layout.mkdir()
    os.system(f"tar -xf {archive} -C {layout}")
    empty = polyarch.on(tmp_path / "empty")
    for place in (archive, layout, f"oci-archive:{archive}", f"oci-layout://{layout}"):
        result = empty("check", "--json", place, check=False)
        assert result.status == 1, str(result)
        assert [finding["rule"] for finding in result.json()["findings"]] == ["foreign-binary"]
    blob = next(path for path in (layout / "blobs/sha256").iterdir() if path.stat().st_size > 500_000)
    blob.write_bytes(blob.read_bytes()[:-1])
    lying = empty("check", "--json", layout, check=False)
    assert {finding["rule"] for finding in lying.json()["findings"]} == {"size-mismatch"}


def test_an_image_of_a_registry_is_checked_and_nothing_of_it_is_kept(
    polyarch: Program, wrong: str, registry: LocalRegistry, tmp_path: Path
) -> None:
    name = f"{registry.address}/wrong:1"
    polyarch("tag", wrong, name)
    polyarch("push", name)
    other = polyarch.on(tmp_path / "other")
    for _ in range(2):
        result = other("check", "--json", name, check=False)
        assert result.status == 1, str(result)
        assert [finding["rule"] for finding in json.loads(result.stdout)["findings"]] == ["foreign-binary"]
        assert not any((other.root / "oci" / "blobs" / "sha256").iterdir())


def test_a_blob_that_a_registry_has_lost_is_missing(
    polyarch: Program, wrong: str, registry: LocalRegistry, tmp_path: Path
) -> None:
    name = f"{registry.address}/wrong:1"
    polyarch("tag", wrong, name)
    polyarch("push", name)
    layer = json.loads(polyarch("check", "--json", wrong, check=False).stdout)["findings"][0]["layer"]
    digest = layer.partition(":")[2]
    (blob,) = tmp_path.glob(f"registry/**/{digest[:2]}/{digest}/data")
    blob.unlink()
    result = polyarch.on(tmp_path / "other")("check", "--json", name, check=False)
    assert result.status == 1
    found = result.json()["findings"]
    assert {finding["rule"] for finding in found} == {"blob-missing"}
    assert digest in found[0]["message"]


def test_a_name_that_is_nowhere_is_an_error_of_its_own(polyarch: Program, registry: LocalRegistry) -> None:
    assert "nowhere" in polyarch.fails("check", f"{registry.address}/nowhere:1").stderr


def test_a_platform_that_was_never_pulled_is_read_from_its_registry_or_said_to_be_out_of_reach(
    polyarch: Program, wrong: str, registry: LocalRegistry, tmp_path: Path
) -> None:
    name = f"{registry.address}/wrong:1"
    polyarch("tag", wrong, name)
    polyarch("push", name)
    other = polyarch.on(tmp_path / "other")
    other("pull", "--platform", "linux/amd64", name)
    found = other("check", "--json", name, check=False).json()["findings"]
    assert [(one["rule"], one["platform"]) for one in found] == [("foreign-binary", "linux/arm64")]
    registry.stop()
    alone = other("check", "--json", name)
    (one,) = alone.json()["findings"]
    assert (one["rule"], one["severity"], one["platform"]) == ("blob-missing", "warning", "linux/arm64")


@pytest.mark.parametrize(
    "name", ["nosuch.tar", "nosuch.tar.gz", "./nosuch", "/tmp/nosuch/layout", "nosuch.tgz", "nosuch/"]
)
def test_a_path_that_leads_nowhere_is_called_one(polyarch: Program, name: str) -> None:
    """No registry is queried, so the error does not mention a host."""
    for command in ("check", "drift"):
        assert (
            f"there is no file {name}, and no image of that name in the store" in polyarch.fails(command, name).stderr
        )


def test_one_image_of_an_index_is_checked_by_its_id(polyarch: Program, busybox: str) -> None:
    listed = polyarch("images", "--format", "json", busybox).json()["Platforms"]
    digits = next(entry["Digest"] for entry in listed if entry["Platform"] == "linux/arm64")[7:19]
    result = polyarch("check", digits)
    assert result.lines() == ["linux/arm64 (1 binary): nothing found", f"{digits} is good"]
    assert (
        polyarch("history", "-q", digits).stdout
        == polyarch("history", "--platform", "linux/arm64", "-q", busybox).stdout
    )
