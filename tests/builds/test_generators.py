"""`--sbom=generator=IMAGE`: a scanner by BuildKit's protocol, which runs as a step of the build."""

import json
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polyarch.images import names
from polyarch.store import Store
from scripts import debian, syft
from tests.attest.billing import spdx_problems
from tests.needs import elsewhere, missing
from tests.program import Program

Context = Callable[..., Path]

# A scanner that says what it was given.
SCAN = r"""
set -e
for source in "$BUILDKIT_SCAN_SOURCE" "$BUILDKIT_SCAN_SOURCE_EXTRAS"*; do
  [ -d "$source" ] || continue
  cat > "$BUILDKIT_SCAN_DESTINATION$(basename "$source").spdx.json" <<END
{"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document", "predicate": {
  "name": "$(basename "$source")", "comment": "$BUILDKIT_SCAN_NOTE",
  "creationInfo": {"creators": ["Tool: shell"]},
  "files": [
    {"fileName": "/bin/busybox"}, {"fileName": "added"}, {"fileName": "/no"}, {"fileName": "x", "comment": "own"}
  ],
  "seen": "$(cd "$source" && ls | tr '\n' ' ')", "cwd": "$PWD", "image": "$FROM_IMAGE", "user": "$(id -u)",
  "writable": "$(touch "$source/x" 2>/dev/null && echo yes)$(touch /tmp/x && echo tmp)",
  "tmpfs": "$(grep -c ' /tmp tmpfs ' /proc/mounts)",
  "extras": "$BUILDKIT_SCAN_SOURCE_EXTRAS"
}}
END
done
"""


NO_OBJECT = """cat > /run/out/a.json <<END
{"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://spdx.dev/Document", "predicate": []}
END
"""


@pytest.fixture
def scanner(polyarch: Program, busybox: str, tmp_path: Path) -> Callable[[str], str]:
    """An image that runs this script: `scanner("exit 1")`."""

    def make(script: str) -> str:
        directory = tmp_path / "scanner"
        directory.mkdir(exist_ok=True)
        (directory / "scan.sh").write_text(script)
        lines = ("ENV FROM_IMAGE=yes", "WORKDIR /work", "USER 1000", "COPY scan.sh /", 'ENTRYPOINT ["/bin/sh"]')
        (directory / "Dockerfile").write_text("\n".join((f"FROM {busybox}", *lines, 'CMD ["/scan.sh"]', "")))
        polyarch("build", "-q", "-t", "scanner", directory)
        return "generator=scanner"

    return make


def entries(polyarch: Program, name: str) -> list[dict[str, Any]]:
    """The entries of the index that a name in the store points to."""
    with Store.open(polyarch.root) as store:
        document = json.loads(store.load(names.find(store, names.parse(name)).descriptor).raw)
        return list(document["manifests"])


def statements(polyarch: Program, name: str) -> list[dict[str, Any]]:
    """The statements about the only image of a name."""
    (entry,) = [one for one in entries(polyarch, name) if one["platform"]["os"] == "unknown"]
    blobs = polyarch.root / "oci/blobs/sha256"
    layers = json.loads((blobs / entry["digest"].partition(":")[2]).read_text())["layers"]
    return [json.loads((blobs / layer["digest"].partition(":")[2]).read_text()) for layer in layers]


def test_a_generator_is_given_what_buildkit_gives_it(
    polyarch: Program, busybox: str, context: Context, scanner: Callable[[str], str]
) -> None:
    directory = context(
        f"ARG BUILDKIT_SBOM_SCAN_CONTEXT=true\nARG BUILDKIT_SBOM_SCAN_STAGE=true\n"
        f"FROM {busybox} AS one\nRUN touch /built\nFROM {busybox}\nCOPY --from=one /built /added\n",
        "file = x",
    )
    asked = f"type=sbom,{scanner(SCAN)},NOTE=hello world"
    polyarch("build", "-q", "--platform", "linux/amd64", "--attest", asked, "-t", "app", directory)
    found = statements(polyarch, "app")
    assert [one["predicate"]["name"] for one in found] == ["sbom", "sbom-context", "sbom-one"]
    assert {one["predicateType"] for one in found} == {"https://spdx.dev/Document"}
    assert found[0]["subject"][0]["name"].startswith("pkg:docker/app@latest")
    core, files, stage = (one["predicate"] for one in found)
    assert "added" in core["seen"].split()
    assert files["seen"].split() == ["Dockerfile", "file"]
    assert "built" in stage["seen"].split()
    expected = {"comment": "hello world", "cwd": "/work", "image": "yes", "user": "0", "writable": "tmp", "tmpfs": "1"}
    assert {key: core[key] for key in expected} == expected
    assert core["extras"] == "/run/src/extras/"
    assert core["creationInfo"]["creators"][0] == "Tool: shell"
    assert core["creationInfo"]["creators"][1].startswith("Tool: polyarch-")
    comments = [file.get("comment", "") for file in core["files"]]
    assert comments[0].startswith("layerID: sha256:")
    assert comments[1].startswith("layerID: sha256:")
    assert comments[0] != comments[1]
    assert comments[2:] == ["", "own"]


def test_every_platform_is_scanned_once_and_the_image_stays_the_same(
    polyarch: Program, busybox: str, context: Context, scanner: Callable[[str], str]
) -> None:
    directory = context(f"FROM {busybox}\nCOPY file /", "file = x")
    words = ("--platform", "linux/amd64,linux/arm64", "-t")
    asked = f"--sbom={scanner(SCAN)}"
    polyarch("build", "-q", *words, "plain", directory)
    first = polyarch("build", "--progress=plain", asked, *words, "app", directory)
    assert first.stderr.count(" sbom] generate with") == 2
    again = polyarch("build", "--progress=plain", asked, *words, "app", directory)
    assert "DONE" not in again.stderr.partition("exporting")[0].partition("generate with")[2]
    plain, attested = (entries(polyarch, name) for name in ("plain", "app"))
    assert [one["digest"] for one in plain] == [one["digest"] for one in attested[:2]]
    assert [one["platform"]["os"] for one in attested[2:]] == ["unknown"] * 2


def test_the_generator_is_a_material_of_the_provenance(
    polyarch: Program, busybox: str, context: Context, scanner: Callable[[str], str]
) -> None:
    directory = context(f"FROM {busybox}")
    words = ("--platform", "linux/amd64", "--provenance=true", f"--sbom={scanner(SCAN)}", "-t", "app")
    polyarch("build", "-q", *words, directory)
    materials = statements(polyarch, "app")[-1]["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert [one["uri"].partition("@")[0] for one in materials] == ["pkg:docker/busybox", "pkg:docker/scanner"]


def test_a_generator_scans_an_image_without_files(
    polyarch: Program, context: Context, scanner: Callable[[str], str], tmp_path: Path
) -> None:
    directory = context("FROM scratch\nENV A=b")
    polyarch("build", "-q", f"--sbom={scanner(SCAN)}", "-t", "app", directory)
    (found,) = statements(polyarch, "app")
    assert found["predicate"]["seen"] == ""


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("true", "wrote nothing to /run/out"),
        ("exit 3", 'generate with docker.io/library/scanner:latest: process "/bin/sh /scan.sh" did not complete'),
        (
            "echo no > /run/out/sbom.spdx.json",
            "wrote /run/out/sbom.spdx.json: an attestation is not an in-toto statement",
        ),
        ('echo \'{"_type": "https://in-toto.io/Statement/v1", "predicateType": "x"}\' > /run/out/a.json', "'x', not"),
        (
            NO_OBJECT,
            "its predicate is not a JSON object",
        ),
        ("ln -s /etc/passwd /run/out/sbom.spdx.json", "wrote nothing to /run/out"),
        ("rmdir /run/out && ln -s /etc /run/out", "wrote nothing to /run/out"),
        ("truncate -s 50M /run/out/sbom.spdx.json", "it has 52428800 bytes"),
    ],
)
def test_what_is_not_an_sbom_fails_the_build(
    polyarch: Program, busybox: str, context: Context, scanner: Callable[[str], str], script: str, message: str
) -> None:
    directory = context(f"FROM {busybox}")
    failed = polyarch.fails("build", f"--sbom={scanner(script)}", "-t", "app", directory)
    assert message in failed.stderr
    assert "Traceback" not in failed.stderr
    assert "app" not in polyarch("images").stdout


def test_a_generator_without_a_command_or_that_does_not_exist_is_an_error(
    polyarch: Program, busybox: str, context: Context, tmp_path: Path
) -> None:
    directory = context(f"FROM {busybox}")
    (tmp_path / "none").mkdir()
    (tmp_path / "none/Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    polyarch("build", "-q", "-t", "none", tmp_path / "none")
    failed = polyarch.fails("build", "--sbom=generator=none", directory)
    assert "the SBOM generator docker.io/library/none:latest has neither an entrypoint nor a command" in failed.stderr


def test_syft_is_a_generator(polyarch: Program, busybox: str, context: Context, tmp_path: Path) -> None:
    if platform.machine() != "x86_64":
        elsewhere("syft is fetched for x86_64 only")
    try:
        program = syft.program()
    except debian.UnavailableError as problem:
        missing(str(problem))
    directory = tmp_path / "generator"
    directory.mkdir()
    shutil.copy(program, directory / "syft")
    script = r"""
export SYFT_CHECK_FOR_APP_UPDATE=false
/syft scan -q "dir:$BUILDKIT_SCAN_SOURCE" -o spdx-json > /tmp/found
cat > "${BUILDKIT_SCAN_DESTINATION}sbom.spdx.json" <<END
{"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://spdx.dev/Document", "predicate":
END
cat /tmp/found - >> "${BUILDKIT_SCAN_DESTINATION}sbom.spdx.json" <<END
}
END
"""
    (directory / "scan.sh").write_text(script)
    (directory / "Dockerfile").write_text(f'FROM {busybox}\nCOPY syft scan.sh /\nCMD ["/bin/sh", "/scan.sh"]\n')
    polyarch("build", "-q", "-t", "localhost/syft", directory)
    made = context(f"FROM {busybox}\nCOPY . /\n", "")
    (made / "lib/apk/db").mkdir(parents=True)
    (made / "lib/apk/db/installed").write_text("P:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\n\n")
    polyarch("build", "-q", "--platform", "linux/amd64", "--sbom=generator=localhost/syft", "-t", "app", made)
    (found,) = statements(polyarch, "app")
    assert "musl" in {package["name"] for package in found["predicate"]["packages"]}
    assert spdx_problems(json.dumps(found["predicate"]).encode()) == []
