"""The compression options of `build`, checked in a registry."""

from pathlib import Path
from typing import Any

import pytest

from scripts.local_registry import LocalRegistry
from tests import bases
from tests.integration.conftest import Skopeo
from tests.program import Program, run

pytestmark = pytest.mark.integration

_DOCKERFILE = "FROM busybox\nCOPY . /app\nRUN echo made > /made\n"
_PLATFORMS = ("linux/amd64", "linux/arm64")


@pytest.fixture
def context(tmp_path: Path) -> Path:
    made = tmp_path / "context"
    made.mkdir()
    (made / "Dockerfile").write_text(_DOCKERFILE)
    (made / "text").write_text("a text that repeats itself\n" * 100_000)
    return made


def built(polyarch: Program, registry: LocalRegistry, context: Path, tag: str, output: str = "") -> str:
    name = f"{registry.address}/app:{tag}"
    polyarch(
        *("build", "-q", "--platform", ",".join(_PLATFORMS), "-t", name),
        *("-o", f"type=registry{output}", context),
    )
    return name


def layers(skopeo: Skopeo, name: str, platform: str) -> list[Any]:
    index = skopeo.raw(f"docker://{name}")
    chosen = next(
        entry for entry in index["manifests"] if entry["platform"]["architecture"] == platform.rpartition("/")[2]
    )
    repository = name.rpartition(":")[0]
    return list(skopeo.raw(f"docker://{repository}@{chosen['digest']}")["layers"])


def kinds(skopeo: Skopeo, name: str, platform: str) -> list[str]:
    return [layer["mediaType"].rpartition("+")[2] for layer in layers(skopeo, name, platform)]


def test_new_layers_are_compressed_as_asked_and_a_base_is_left_as_it_is(
    polyarch: Program, busybox: str, registry: LocalRegistry, skopeo: Skopeo, context: Path
) -> None:
    name = built(polyarch, registry, context, "zstd", ",compression=zstd")
    for platform in _PLATFORMS:
        assert kinds(skopeo, name, platform) == ["gzip", "zstd", "zstd"]


def test_all_layers_are_where_that_is_forced_and_the_tars_within_stay_the_same(
    polyarch: Program, busybox: str, registry: LocalRegistry, skopeo: Skopeo, context: Path, tmp_path: Path
) -> None:
    plain = built(polyarch, registry, context, "gzip")
    forced = built(polyarch, registry, context, "forced", ",compression=zstd,force-compression=true")
    for platform in _PLATFORMS:
        assert kinds(skopeo, plain, platform) == ["gzip", "gzip", "gzip"]
        assert kinds(skopeo, forced, platform) == ["zstd", "zstd", "zstd"]
        one, other = (skopeo.config(f"docker://{name}", platform) for name in (plain, forced))
        assert one["rootfs"] == other["rootfs"]
        directory = skopeo.unpack(f"docker://{forced}", platform, tmp_path / platform.replace("/", "-"))
        digest = layers(skopeo, forced, platform)[1]["digest"].replace(":", "/")
        listed = run(["tar", "--zstd", "-tf", directory / "blobs" / digest]).stdout
        assert "app/text" in listed


def test_a_higher_level_makes_a_smaller_layer(
    polyarch: Program, busybox: str, registry: LocalRegistry, skopeo: Skopeo, context: Path, tmp_path: Path
) -> None:
    (context / "numbers").write_text(" ".join(str(number * number) for number in range(200_000)))
    sizes = []
    for level in (1, 19):
        # A layer that is there already keeps its level, so each is built in a store of its own.
        other = polyarch.on(tmp_path / f"store-{level}")
        bases.copy_store(polyarch.root, other.root)
        name = built(other, registry, context, f"level{level}", f",compression=zstd,compression-level={level}")
        sizes.append(layers(skopeo, name, "linux/amd64")[1]["size"])
    assert sizes[1] < sizes[0]


def test_what_was_compressed_otherwise_runs_as_well(
    polyarch: Program, busybox: str, registry: LocalRegistry, context: Path, tmp_path: Path
) -> None:
    name = built(polyarch, registry, context, "runs", ",compression=zstd,force-compression=true")
    other = polyarch.on(tmp_path / "other")
    assert other("run", "--rm", name, "cat", "/made").stdout == "made\n"
