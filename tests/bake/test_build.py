"""`bake` builds: targets, targets that are contexts of others, reports, and what happens if one fails."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from scripts.local_registry import LocalRegistry
from tests.needs import need
from tests.program import Program

FILE = """
variable "VERSION" { default = "2" }
group "default" { targets = ["app", "files"] }
target "base" {
  context = "base"
  platforms = ["linux/amd64", "linux/arm64"]
}
target "app" {
  description = "The app"
  context = "app"
  contexts = { base = "target:base" }
  args = { VERSION = VERSION }
  labels = { "org.example.version" = "v${VERSION}" }
  platforms = ["linux/amd64", "linux/arm64"]
  tags = ["app:${VERSION}", "app:latest"]
}
target "files" {
  dockerfile-inline = <<-END
    FROM app
    COPY docker-bake.hcl /copied
  END
  contexts = { app = "target:app" }
  output = ["type=local,dest=out"]
  platforms = ["linux/arm64"]
}
"""


def write(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return write(
        tmp_path / "work",
        {
            "docker-bake.hcl": FILE,
            "base/Dockerfile": "FROM scratch\nCOPY hello /hello\n",
            "base/hello": "hello\n",
            "app/Dockerfile": "FROM base\nARG VERSION=1\nCOPY world /world-$VERSION\n",
            "app/world": "world\n",
        },
    )


def test_targets_are_built_with_the_contexts_that_other_targets_make(polyarch: Program, work: Path) -> None:
    built = polyarch("bake", "--metadata-file", "meta.json", cwd=work)
    assert (work / "out/hello").read_text() == "hello\n"
    assert (work / "out/world-2").read_text() == "world\n"
    assert (work / "out/copied").read_text() == FILE
    metadata = json.loads((work / "meta.json").read_text())
    assert sorted(metadata) == ["app", "files"]
    assert sorted(metadata["app"]["polyarch.images"]) == ["linux/amd64", "linux/arm64"]
    assert metadata["app"]["image.name"] == "docker.io/library/app:2,docker.io/library/app:latest"
    config = polyarch("inspect", "--platform", "linux/arm64", "app:2", "--format", "{{json .Config.Labels}}")
    assert config.json() == {"org.example.version": "v2"}
    assert "[linux/amd64,linux/arm64 base 1/1] COPY hello /hello" in built.stderr
    assert f"app: app:2, app:latest for linux/amd64, linux/arm64: {metadata['app']['containerimage.digest']}" in (
        built.stderr
    )


def test_warnings_of_all_targets_are_beside_them_in_the_metadata(polyarch: Program, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch as made\nCOPY Dockerfile /\n")
    (tmp_path / "Other").write_text("FROM scratch as other\nCOPY Other /\n")
    targets = "".join(
        f'target {name} {{\n dockerfile = "{file}"\n platforms = ["linux/amd64", "linux/arm64"]\n}}\n'
        for name, file in (("one", "Dockerfile"), ("two", "Dockerfile"), ("three", "Other"))
    )
    (tmp_path / "docker-bake.hcl").write_text(targets)

    def metadata(wanted: str) -> dict[str, Any]:
        env = {"BUILDX_METADATA_WARNINGS": wanted}
        polyarch("bake", "--metadata-file", "m.json", "one", "two", "three", cwd=tmp_path, env=env)
        found: dict[str, Any] = json.loads((tmp_path / "m.json").read_text())
        return found

    found = metadata("true")
    assert list(found) == ["buildx.build.warnings", "one", "three", "two"]
    files = [
        (one["sourceInfo"]["filename"], one["range"][0]["start"]["line"]) for one in found["buildx.build.warnings"]
    ]
    assert files == [("Dockerfile", 1), ("Other", 1)]
    assert all("buildx.build.warnings" not in found[name] for name in ("one", "two", "three"))
    for unwanted in ("", "0", "no"):
        assert "buildx.build.warnings" not in metadata(unwanted)


def test_only_what_is_asked_for_is_exported(polyarch: Program, work: Path) -> None:
    polyarch("bake", "app", "--set", "app.tags=other:1", "--var", "VERSION=7", cwd=work)
    assert not (work / "out").exists()
    assert [name for name in polyarch("images", "--format", "{{.Repository}}:{{.Tag}}").lines() if name] == ["other:1"]


def test_a_context_without_platforms_is_built_for_those_who_use_it(polyarch: Program, work: Path) -> None:
    text = FILE.replace('  context = "base"\n  platforms = ["linux/amd64", "linux/arm64"]', '  context = "base"')
    (work / "docker-bake.hcl").write_text(text)
    built = polyarch("bake", "app", cwd=work)
    assert "[linux/amd64,linux/arm64 base 1/1]" in built.stderr


def test_one_context_that_is_for_another_platform_serves_all(polyarch: Program, work: Path) -> None:
    one = (
        'target "tool" {\n dockerfile-inline = "FROM scratch\\nCOPY app/world /tool"\n platforms = ["linux/s390x"]\n}\n'
    )
    two = (
        'target "user" {\n dockerfile-inline = "FROM scratch\\nCOPY --from=t /tool /tool"\n'
        ' contexts = { t = "target:tool" }\n platforms = ["linux/amd64", "linux/arm64"]\n output = ["out"]\n}\n'
    )
    (work / "docker-bake.hcl").write_text(one + two)
    polyarch("bake", "user", cwd=work)
    assert (work / "out/linux_arm64/tool").read_text() == "world\n"


def test_a_context_must_have_the_platforms_of_its_user(polyarch: Program, work: Path) -> None:
    done = polyarch.fails("bake", "app", "--set", "app.platform=linux/s390x", cwd=work)
    assert "target app: its context base is not built for linux/s390x" in done.stderr


@pytest.mark.integration
def test_images_are_pushed(polyarch: Program, work: Path, registry: LocalRegistry) -> None:
    name = f"{registry.address}/app:1"
    polyarch("bake", "--push", "--insecure", "app", "--set", f"app.tags={name}", cwd=work)
    shown = polyarch("buildx", "imagetools", "inspect", "--insecure", name, check=False)
    assert "linux/arm64" in shown.stdout, str(shown)
    assert name not in polyarch("images").stdout, "as after `build --push`"
    polyarch(
        "bake", "--insecure", "app", "--set", "*.output=type=image,push=true", "--set", f"app.tags={name}", cwd=work
    )
    assert f"{registry.address}/app" in polyarch("images").stdout


@pytest.mark.integration
def test_the_image_of_a_context_is_read_in_the_store_and_its_base_is_not_fetched(
    polyarch: Program, work: Path, registry: LocalRegistry
) -> None:
    base = f"{registry.address}/base:1"
    (work / "Dockerfile").write_text("FROM scratch\nCOPY large /\n")
    (work / "large").write_bytes(random.Random(1).randbytes(3 << 20))
    polyarch("build", "--push", "-t", base, ".", cwd=work)
    polyarch("system", "prune", "--all", "--force")
    (work / "docker-bake.hcl").write_text(
        f'target middle {{\n dockerfile-inline = "FROM {base}\\nCOPY base /\\n"\n}}\n'
        'target top {\n dockerfile-inline = "FROM middle\\nCOPY --from=middle /hello /again\\n"\n'
        f' contexts = {{ middle = "target:middle" }}\n tags = ["{registry.address}/top:1"]\n}}\n'
    )
    before = len(registry.requests())
    polyarch("bake", "--set", "*.output=type=registry", "top", cwd=work)
    sent = [line for line in registry.requests()[before:] if line.startswith("GET /v2/base/blobs/")]
    manifest = json.loads(polyarch("buildx", "imagetools", "inspect", "--raw", f"{registry.address}/top:1").stdout)
    assert len(manifest["layers"]) == 3
    assert not any(manifest["layers"][0]["digest"] in line for line in sent)


@pytest.mark.integration
def test_runs_have_what_the_target_says(polyarch: Program, busybox: str, work: Path) -> None:
    need("crun")
    text = f"""
        target "default" {{
          dockerfile-inline = <<END
            FROM {busybox}
            ARG A
            RUN --mount=type=secret,id=s sh -c 'cat /run/secrets/s /etc/hosts; ulimit -n' > /said
            RUN sh -c 'echo "$A"; df /dev/shm' >> /said
            FROM scratch
            COPY --from=0 /said /
          END
          args = {{ A = "$" }}
          secret = [{{ id = "s", env = "TOKEN" }}]
          extra-hosts = {{ "some.where" = "10.1.2.3" }}
          ulimits = ["nofile=77:99"]
          shm-size = "3m"
          output = ["out"]
        }}"""
    (work / "docker-bake.hcl").write_text(text)
    polyarch("bake", cwd=work, env={"TOKEN": "token-1\n"})
    said = (work / "out/said").read_text()
    assert "token-1" in said
    assert "10.1.2.3" in said
    assert "\n77\n$\n" in said
    assert "3072" in said


def test_a_failure_names_the_target_the_platform_and_the_line(polyarch: Program, work: Path) -> None:
    (work / "base/Dockerfile").write_text("FROM scratch\nCOPY nothing /\n")
    done = polyarch.fails("bake", cwd=work)
    assert 'target base: [linux/amd64, linux/arm64] Dockerfile:2: "/nothing": not found' in done.stderr
    assert "   2 | >>> COPY nothing /" in done.stderr


def test_nothing_is_built_if_a_target_has_a_mistake(polyarch: Program, work: Path) -> None:
    done = polyarch.fails("bake", "--set", "files.context=nowhere", cwd=work)
    assert "target files: there is no directory nowhere" in done.stderr
    assert "[base" not in done.stderr


def test_call_reports_on_each_target(polyarch: Program, work: Path) -> None:
    (work / "app/Dockerfile").write_text("from base as app\nARG VERSION=1\n")
    done = polyarch("bake", "--check", "app", "files", cwd=work, check=False)
    assert done.status == 1
    summary = "Check complete, 1 warning has been found!"
    assert f"app\nThe app\n\n{summary}\n\nWARNING: ConsistentInstructionCasing (line 1)" in done.stdout
    assert "\nfiles\n\nCheck complete, no warnings found.\n" in done.stdout
    assert not (work / "out").exists()
    outline = polyarch("bake", "--call", "outline,format=json", "app", cwd=work).json()
    assert outline["target"]["app"]["outline"]["args"] == [{"name": "VERSION", "value": "1"}]
    assert outline["target"]["app"]["build"]["tags"] == ["app:2", "app:latest"]
    checked = polyarch("bake", "--call", "check,format=json", "app", cwd=work, check=False)
    assert checked.status == 1
    assert checked.json()["target"]["app"]["check"]["warnings"][0]["ruleName"] == "ConsistentInstructionCasing"


def test_a_target_may_say_itself_that_it_is_called(polyarch: Program, work: Path) -> None:
    called = (
        FILE.replace('targets = ["app", "files"]', 'targets = ["app", "lint"]')
        + 'target "lint" {\n  inherits = ["base"]\n  call = "check"\n}\n'
    )
    (work / "docker-bake.hcl").write_text(called)
    done = polyarch("bake", cwd=work)
    assert done.stdout == "lint\n\nCheck complete, no warnings found.\n"
    assert "app:2" in polyarch("images").stdout


@pytest.mark.parametrize("word", ["nothing", "check,format=xml", "check,json,more"])
def test_an_unknown_call_is_refused(polyarch: Program, work: Path, word: str) -> None:
    assert f"--call {word} is unknown" in polyarch.fails("bake", "--call", word, cwd=work).stderr


def test_what_no_build_here_has_is_told(polyarch: Program, work: Path) -> None:
    text = (
        'target "default" {\n context = "base"\n resources = { memory = "1g" }\n entitlements = ["device=a.b/c=d"]\n}\n'
    )
    (work / "docker-bake.hcl").write_text(text)
    done = polyarch("bake", "--allow", "device", cwd=work)
    assert "WARNING: target default: resources are not supported" in done.stderr
    assert "WARNING: target default: the entitlement device=a.b/c=d is not supported" in done.stderr
    (work / "docker-bake.hcl").write_text('target "default" {\n context = "base"\n policy = ["filename=p.rego"]\n}\n')
    assert "target default: source policies are not supported" in polyarch.fails("bake", cwd=work).stderr
