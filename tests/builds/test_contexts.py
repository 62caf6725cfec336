"""Contexts that are not directories: standard input, OCI layouts, images; through the command line."""

import gzip
import io
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from polyarch.builder.contexts.signature import sign
from scripts.local_registry import LocalRegistry
from tests.builds.conftest import Worker
from tests.builds.images import Image
from tests.builds.test_archives import zstd
from tests.needs import need
from tests.program import Program, run

Context = Callable[..., Path]


def archive(files: dict[str, str]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            member.uid = 1234
            tar.addfile(member, io.BytesIO(text.encode()))
    return raw.getvalue()


def built(polyarch: Program, name: str) -> Image:
    entry = polyarch("images", "--format", "json", name).json()
    digest = next(one["Digest"] for one in entry.get("Platforms") or [entry])
    return Image(polyarch.root / "oci", digest)


def test_a_dockerfile_on_standard_input_has_no_context(polyarch: Program) -> None:
    polyarch("build", "-t", "a", "-", stdin="FROM scratch\nLABEL a=b")
    assert built(polyarch, "a").config["config"]["Labels"] == {"a": "b"}
    assert "there is no build context" in polyarch.fails("build", "-", stdin="FROM scratch\nCOPY a /").stderr


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd], ids=["plain", "gzip", "zstd"])
def test_a_tar_on_standard_input_is_the_context(polyarch: Program, compress: Callable[[bytes], bytes]) -> None:
    tar = compress(archive({"Dockerfile": "FROM scratch\nCOPY a /b", "a": "a", ".dockerignore": "a"}))
    polyarch("build", "-t", "a", "-", stdin=tar)
    assert [file.line(path) for path, file in built(polyarch, "a").files().items()] == ["0644 0:0 b = a"]


def test_a_dockerfile_may_be_inside_of_the_tar_that_is_the_context(polyarch: Program) -> None:
    tar = archive({"docker/Other": "FROM scratch\nCOPY a /b", "a": "a"})
    polyarch("build", "-t", "a", "-f", "docker/Other", "-", stdin=tar)
    assert list(built(polyarch, "a").files()) == ["b"]


def test_a_damaged_archive_on_standard_input_is_said_to_be_one(polyarch: Program) -> None:
    tar = gzip.compress(archive({"Dockerfile": "FROM scratch", "a": "a" * 5000}))
    assert "standard input" in polyarch.fails("build", "-", stdin=tar[:120]).stderr


def test_a_dockerfile_on_standard_input_is_built_with_a_context_beside_it(polyarch: Program, context: Context) -> None:
    directory = context("FROM missing", "a = a")
    polyarch("build", "-t", "a", "-f", "-", directory, stdin="FROM scratch\nCOPY a /b")
    assert list(built(polyarch, "a").files()) == ["b"]


def test_a_dockerfile_in_small_letters_is_found(polyarch: Program, context: Context) -> None:
    directory = context("FROM scratch\nLABEL a=b")
    (directory / "Dockerfile").rename(directory / "dockerfile")
    polyarch("build", "-t", "a", directory)
    assert built(polyarch, "a").config["config"]["Labels"] == {"a": "b"}


def test_a_dockerfile_may_be_outside_of_the_context_and_brings_its_ignore_file(
    polyarch: Program, context: Context, tmp_path: Path
) -> None:
    directory = context("FROM missing", "a = a")
    other = tmp_path / "elsewhere.dockerfile"
    other.write_text("FROM scratch\nCOPY . /")
    other.with_name("elsewhere.dockerfile.dockerignore").write_text("Dockerfile\n")
    polyarch("build", "-t", "a", "-f", other, directory)
    assert list(built(polyarch, "a").files()) == ["a"]


@pytest.mark.parametrize("version", ["", ":two", "@"], ids=["the only one", "by tag", "by digest"])
def test_an_oci_layout_stands_for_an_image(
    worker: Worker, context: Context, tmp_path: Path, polyarch: Program, version: str
) -> None:
    need("skopeo")
    tags = ["two"] if not version else ["one", "two"]
    for tag in tags:
        polyarch(
            "build",
            "--platform",
            "linux/amd64,linux/arm64",
            "-t",
            f"image:{tag}",
            context(f"FROM scratch\nLABEL tag={tag}"),
        )
        source = f"oci:{polyarch.root}/oci:docker.io/library/image:{tag}"
        run(["skopeo", "copy", "--quiet", "--all", source, f"oci:{tmp_path}/layout:{tag}"])
    if version == "@":
        version += polyarch("images", "--format", "json", "image:two").json()["Digest"]
    contexts = {"base": f"oci-layout://{tmp_path}/layout{version}"}
    images = worker.images(
        context("FROM base\nLABEL mine=1"), contexts=contexts, platforms=["linux/amd64", "linux/arm64"]
    )
    for image in images.values():
        assert image.config["config"]["Labels"] == {"tag": "two", "mine": "1"}


def test_a_context_of_an_unknown_kind_is_refused_and_named(polyarch: Program, context: Context) -> None:
    result = polyarch.fails("build", "--build-context", "a=ftp://host/x", context("FROM scratch"))
    assert "ftp://host/x" in result.stderr


def test_a_file_as_the_context_is_told_with_what_was_meant(polyarch: Program, context: Context) -> None:
    directory = context("FROM scratch\nLABEL a=b")
    said = polyarch.fails("build", directory / "Dockerfile").stderr
    assert f"{directory}/Dockerfile is a file, and the build context is a directory" in said
    assert f"polyarch build -f {directory}/Dockerfile {directory}" in said
    (directory / "x.tar").write_bytes(archive({"Dockerfile": "FROM scratch"}))
    assert f"polyarch build - < {directory}/x.tar" in polyarch.fails("build", directory / "x.tar").stderr
    assert "there is no directory nothing" in polyarch.fails("build", "nothing").stderr


def test_a_platform_that_is_a_slip_is_not_built(polyarch: Program, context: Context) -> None:
    directory = context("FROM scratch\nLABEL a=b")
    said = polyarch.fails("build", "--platform", "linux/amd64,linux/armv7", directory).stderr
    assert "unknown platform linux/armv7" in said
    assert "did you mean linux/arm/v7?" in said
    assert "linux/e2k is not a known platform" in polyarch("build", "--platform", "linux/e2k", directory).stderr


def test_a_stage_that_is_nearly_named_is_told_before_a_registry_is_asked(
    polyarch: Program, context: Context, registry: LocalRegistry, tmp_path: Path
) -> None:
    hub = f'[[registry]]\nprefix = "docker.io/library"\nlocation = "{registry.address}/library"\ninsecure = true\n'
    (tmp_path / "registries.conf").write_text(hub)
    directory = context("FROM scratch AS builder\nCOPY Dockerfile /f\nFROM scratch\nCOPY --from=buildr /f /\n")
    said = polyarch.fails(
        "build", directory, env={"CONTAINERS_REGISTRIES_CONF": str(tmp_path / "registries.conf")}
    ).stderr
    assert said.startswith("WARNING: UnknownStage: --from=buildr: there is no stage buildr (did you mean builder?)")
    assert said.count("UnknownStage") == 1
    assert "there is no stage buildr: the stages before it are builder" in said


def test_checks_can_be_asked_for_alone(polyarch: Program, context: Context) -> None:
    directory = context("FROM scratch\nMAINTAINER me\nCOPY missing /\nFROM scratch")
    result = polyarch("build", "--check", directory, check=False)
    assert result.status == 1
    assert "MaintainerDeprecated" in result.stdout + result.stderr
    assert polyarch("build", "--check", context("FROM scratch\nLABEL a=b")).status == 0


def test_targets_and_arguments_can_be_asked_for(polyarch: Program, context: Context) -> None:
    text = "# A the first\nARG A=1\n# one what it is\nFROM scratch AS one\nARG A\nFROM scratch AS two"
    assert "what it is" in polyarch("build", "--call=targets", context(text)).stdout
    assert "the first" in polyarch("build", "--call=outline", "--target=one", context(text)).stdout


# A build whose walk of the context was over before a file changed.
_WALKED_BEFORE = """
import sys
from polyarch.builder.contexts import local
from polyarch.builder.contexts.signature import Signature
from polyarch.cli import main
local.sign = lambda *_: Signature(sys.argv[1], 0, 1)
main.main(sys.argv[2:])
"""


def test_a_file_that_changes_between_the_walk_and_the_copy_is_not_kept_as_what_it_was(
    polyarch: Program, context: Context
) -> None:
    directory = context("FROM scratch\nARG X\nWORKDIR /$X\nCOPY file /file\nWORKDIR /file.d", "file = old")
    # The walk is certain of files that are older than a tick of the clock.
    time.sleep(0.06)
    polyarch("build", "-t", "app", "--build-arg", "X=1", directory)
    walked = sign(str(directory), None).text
    (directory / "file").write_text("new")
    arguments = ["build", "-t", "app", "--build-arg", "X=2", str(directory)]
    changed = run([sys.executable, "-c", _WALKED_BEFORE, walked, *arguments], env=polyarch.env)
    assert "files changed during the build" in changed.stderr
    assert built(polyarch, "app").files()["file"].content == b"new"
    (directory / "file").write_text("old")
    polyarch(*arguments)
    assert built(polyarch, "app").files()["file"].content == b"old"
