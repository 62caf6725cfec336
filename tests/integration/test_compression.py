"""The compression options of `build`, checked in a registry."""

import json
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


def test_estargz_is_for_new_layers_or_where_forced_for_all_and_other_tools_read_it(
    polyarch: Program, busybox: str, registry: LocalRegistry, skopeo: Skopeo, context: Path, tmp_path: Path
) -> None:
    name = built(polyarch, registry, context, "new", ",compression=estargz")
    forced = built(polyarch, registry, context, "all", ",compression=estargz,force-compression=true")
    again = built(polyarch, registry, context, "again", ",compression=gzip,force-compression=true")
    for platform in _PLATFORMS:
        assert kinds(skopeo, name, platform) == ["gzip", "gzip", "gzip"]
        assert stargz(skopeo, name, platform) == [False, True, True]
        assert stargz(skopeo, forced, platform) == [True, True, True]
        assert stargz(skopeo, again, platform) == [False, False, False]
        # skopeo compares each layer with the diff id in the config only if it unpacks it.
        run(
            [
                "skopeo",
                "copy",
                "--quiet",
                "--insecure-policy",
                "--src-tls-verify=false",
                "--dest-decompress",
                "--override-arch",
                platform.rpartition("/")[2],
                f"docker://{forced}",
                f"dir:{tmp_path}/{platform[6:]}",
            ]
        )
        plain = json.loads((tmp_path / platform[6:] / "manifest.json").read_text())["layers"]
        assert [layer["digest"] for layer in plain] == skopeo.config(f"docker://{forced}", platform)["rootfs"][
            "diff_ids"
        ]
    other = polyarch.on(tmp_path / "other")
    listed = other("run", "--rm", forced, "sh", "-c", "cat /made; ls -a /").stdout
    assert listed.startswith("made\n")
    assert "stargz.index.json" not in listed


def stargz(skopeo: Skopeo, name: str, platform: str) -> list[bool]:
    return [
        "containerd.io/snapshot/stargz/toc.digest" in layer.get("annotations", {})
        for layer in layers(skopeo, name, platform)
    ]


def test_level_0_stores(
    polyarch: Program, busybox: str, registry: LocalRegistry, skopeo: Skopeo, context: Path
) -> None:
    name = built(polyarch, registry, context, "stored", ",compression-level=0")
    assert layers(skopeo, name, "linux/amd64")[1]["size"] > 2_700_000
