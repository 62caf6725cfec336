"""`compose build`, `push`, `pull`, `images` and `config` as a user runs them, and compose files in `bake`."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from polyarch.compose import variables
from polyarch.compose.interpolate import TemplateError
from scripts.local_registry import LocalRegistry
from tests.program import Program

FILE = """
name: shop
services:
  web:
    image: web:${VERSION:-1}
    depends_on: [db]
    build:
      context: web
      args: {VERSION: "${VERSION:-1}", FROM_ENV: }
      labels: {own: "yes"}
      tags: ["web:more"]
      platforms: [linux/amd64, linux/arm64]
      additional_contexts: {base: "service:base.one"}
      secrets: [token]
  base.one:
    build: {context: base, platforms: [linux/amd64, linux/arm64]}
  tools:
    build: {context: base}
    profiles: [tools]
  db:
    image: nowhere.example/db
secrets:
  token: {environment: TOKEN}
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    directory = tmp_path / "work"
    for name, text in {
        "compose.yaml": FILE,
        ".env": "FROM_ENV=of-dotenv\nTOKEN=secret-of-dotenv\n",
        "base/Dockerfile": "FROM scratch\nCOPY hello /hello\n",
        "base/hello": "hello\n",
        "web/Dockerfile": "FROM base\nARG VERSION FROM_ENV\nCOPY world /world-$VERSION-$FROM_ENV\n",
        "web/world": "world\n",
    }.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def _config(polyarch: Program, name: str, platform: str = "linux/arm64") -> dict[str, object]:
    found = polyarch("inspect", "--platform", platform, name).json()
    image: dict[str, object] = (found[0] if isinstance(found, list) else found)["Config"]
    return image


def test_a_service_is_built_on_the_image_of_another(polyarch: Program, work: Path, tmp_path: Path) -> None:
    said = polyarch("compose", "build", "web", cwd=work).stderr
    assert "base_one: shop-base.one:latest for linux/amd64, linux/arm64" in said
    assert "web: web:more, web:1 for linux/amd64, linux/arm64" in said
    polyarch("build", "--platform", "linux/arm64", "-o", str(tmp_path / "out"), "-", stdin="FROM web:1\n")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["hello", "world-1-of-dotenv"]


def test_an_image_has_the_labels_of_its_project(polyarch: Program, work: Path) -> None:
    polyarch("compose", "build", "web", cwd=work)
    labels = _config(polyarch, "web:1")["Labels"]
    assert isinstance(labels, dict)
    assert labels["own"] == "yes"
    assert labels["com.docker.compose.project"] == "shop"
    assert labels["com.docker.compose.service"] == "web"


def test_every_active_service_is_built(polyarch: Program, work: Path) -> None:
    polyarch("compose", "build", cwd=work)
    assert "shop-tools" not in polyarch("images").stdout
    polyarch("compose", "--profile", "tools", "build", cwd=work)
    assert "shop-tools" in polyarch("images").stdout


def test_a_secret_of_dotenv_is_in_the_build_and_not_in_the_image(polyarch: Program, work: Path) -> None:
    (work / "web/Dockerfile").write_text("FROM base\nCOPY world /\n")
    done = polyarch("compose", "build", "web", cwd=work)
    assert "secret-of-dotenv" not in done.stdout + done.stderr
    assert "secret-of-dotenv" not in polyarch("compose", "config", cwd=work).stdout


def test_images_lists_what_is_in_the_store(polyarch: Program, work: Path) -> None:
    assert len(polyarch("compose", "images", cwd=work).lines()) == 1
    polyarch("compose", "build", "web", cwd=work)
    rows = polyarch("compose", "images", cwd=work).lines()
    assert [row.split()[:3] for row in rows[1:]] == [["base.one", "shop-base.one", "latest"], ["web", "web", "1"]]


def test_images_are_pushed_and_fetched(polyarch: Program, work: Path, registry: LocalRegistry, tmp_path: Path) -> None:
    file = work / "compose.yaml"
    file.write_text(FILE.replace("image: web:", f"image: {registry.address}/web:").replace('tags: ["web:more"]', ""))
    polyarch("compose", "build", cwd=work)
    # A service without a name of an image is not pushed, one without a build neither.
    pushed = polyarch("compose", "push", cwd=work).lines()
    assert [line.partition(": ")[0] for line in pushed] == [f"{registry.address}/web:1"]
    (tmp_path / "other").mkdir()
    other = Program(tmp_path / "other-store", tmp_path / "other")
    assert other("compose", "pull", "web", cwd=work).stdout.startswith(f"{registry.address}/web:1: digest: sha256:")
    assert "web" in other("images").stdout
    # What can be built is a warning, what cannot is an error.
    file.write_text(file.read_text().replace(f"{registry.address}/web:${{VERSION:-1}}", f"{registry.address}/nope:1"))
    assert "WARNING: " in other("compose", "pull", "web", cwd=work).stderr
    file.write_text(file.read_text().replace("nowhere.example/db", f"{registry.address}/db:1"))
    failed = other.fails("compose", "pull", "db", cwd=work)
    assert "was not fetched" in failed.stderr


def test_build_pushes_what_has_a_name(polyarch: Program, work: Path, registry: LocalRegistry) -> None:
    file = work / "compose.yaml"
    file.write_text(FILE.replace("image: web:", f"image: {registry.address}/web:").replace('tags: ["web:more"]', ""))
    polyarch("compose", "build", "--push", cwd=work)
    assert polyarch("manifest", "inspect", "--insecure", f"{registry.address}/web:1").stdout
    assert "shop-base.one" in polyarch("images").stdout


def test_a_failure_names_the_service(polyarch: Program, work: Path) -> None:
    (work / "web/Dockerfile").write_text("FROM base\nCOPY nope /\n")
    failed = polyarch.fails("compose", "build", "web", cwd=work)
    assert "web" in failed.stderr
    assert "nope" in failed.stderr


def test_check_looks_at_the_dockerfiles(polyarch: Program, work: Path) -> None:
    (work / "web/Dockerfile").write_text("from base\nCOPY world /\n")
    failed = polyarch.fails("compose", "build", "--check", "web", cwd=work)
    assert "ConsistentInstructionCasing" in failed.stdout


def test_metadata_is_by_target(polyarch: Program, work: Path) -> None:
    polyarch("compose", "build", "--metadata-file", "m.json", "web", cwd=work)
    found = json.loads((work / "m.json").read_text())
    assert found["web"]["image.name"]
    assert found["base_one"]["containerimage.digest"].startswith("sha256:")


def test_platforms_that_contradict_are_refused(polyarch: Program, work: Path) -> None:
    failed = polyarch.fails("compose", "build", cwd=work, env={"DOCKER_DEFAULT_PLATFORM": "linux/s390x"})
    assert "DOCKER_DEFAULT_PLATFORM is linux/s390x, which is not in build.platforms" in failed.stderr


def test_the_file_of_a_directory_above_is_found(polyarch: Program, work: Path) -> None:
    (work / "deep/deeper").mkdir(parents=True)
    shown = polyarch("compose", "config", "--services", cwd=work / "deep/deeper").lines()
    assert shown == ["base.one", "db", "web"]


def test_a_file_on_standard_input(polyarch: Program, tmp_path: Path) -> None:
    shown = polyarch(
        "compose", "-p", "x", "-f", "-", "config", "--images", cwd=tmp_path, stdin="services: {a: {build: .}}"
    )
    assert shown.stdout == "x-a\n"


def test_no_file_and_no_service_are_errors(polyarch: Program, work: Path, tmp_path: Path) -> None:
    assert "there is no compose file in" in polyarch.fails("compose", "config", cwd=tmp_path).stderr
    assert "did you mean web?" in polyarch.fails("compose", "build", "wep", cwd=work).stderr
    assert "did you mean web?" in polyarch.fails("compose", "config", "wep", cwd=work).stderr


def test_what_config_prints_is_a_file_again(polyarch: Program, work: Path) -> None:
    first = polyarch("compose", "config", cwd=work).stdout
    (work / "again.yaml").write_text(first)
    assert polyarch("compose", "-f", "again.yaml", "config", cwd=work).stdout == first


def test_images_get_the_digests_that_their_registry_has(polyarch: Program, work: Path, registry: LocalRegistry) -> None:
    name = f"{registry.address}/app"
    polyarch("build", "--push", "-t", f"{name}:1", work / "base")
    digest = polyarch("buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}", f"{name}:1").stdout.strip()
    file = work / "compose.yaml"
    text = 'services:\n  web: {{image: "{}", command: "$$X"}}\n  own: {{build: base}}\n'
    file.write_text(text.format(f"{name}:${{VERSION:-1}}"))
    whole = polyarch("compose", "config", "--resolve-image-digests", "--format", "json", cwd=work).json()
    assert whole["services"]["web"]["image"] == f"{name}:1@{digest}"
    assert whole["services"]["web"]["command"] == ["$$X"]
    assert "image" not in whole["services"]["own"]
    locked = polyarch("compose", "config", "--lock-image-digests", "-o", "lock.yaml", cwd=work)
    assert locked.stdout == ""
    assert (work / "lock.yaml").read_text() == f"services:\n  web:\n    image: {name}:1@{digest}\n"
    both = polyarch("compose", "-f", "compose.yaml", "-f", "lock.yaml", "config", "--images", cwd=work).lines()
    assert f"{name}:1@{digest}" in both
    file.write_text(text.format(f"{name}:1@{digest}"))
    again = polyarch("compose", "config", "--no-interpolate", "--lock-image-digests", cwd=work).stdout
    assert f"{name}@{digest}" in again
    file.write_text(text.format(f"{name}:nope"))
    assert "services.web: " in polyarch.fails("compose", "config", "--resolve-image-digests", cwd=work).stderr


def test_variables_of_a_long_text_are_found_in_bounded_time() -> None:
    begun = time.process_time()
    many = variables.found_in("".join(f"${{A{number}:-x}}" for number in range(3_000)))
    assert len(many) == 3_000
    assert set(variables.found_in("${A:-${B+" * 20 + "}" * 40)) == {"A", "B"}
    with pytest.raises(TemplateError, match="nested too deeply"):
        variables.found_in("${A:-" * 3_000 + "}" * 3_000)
    variables.found_in("${A:-" * 20_000)
    variables.found_in("$" * 100_000)
    assert time.process_time() - begun < 10


def test_bake_builds_services(polyarch: Program, work: Path) -> None:
    said = polyarch("bake", "web", cwd=work, env={"TOKEN": "x"}).stderr
    assert "web: web:more for linux/amd64, linux/arm64" in said
    polyarch("bake", "--set", "tools.tags=t:1", "tools", cwd=work)
    assert "t:1" in polyarch("images").stdout


def test_bake_has_the_variables_of_var_before_all_others(polyarch: Program, work: Path) -> None:
    printed = polyarch("bake", "--var", "VERSION=var", "--print", "web", cwd=work, env={"VERSION": "env"}).json()
    assert printed["target"]["web"]["args"] == {"FROM_ENV": "of-dotenv", "VERSION": "var"}


def test_bake_with_paths_relative_to_files(polyarch: Program, work: Path) -> None:
    environment = {"BUILDX_BAKE_FILE_RELATIVE_PATHS": "1"}
    printed = polyarch("bake", "-f", "work/compose.yaml", "--print", "web", cwd=work.parent, env=environment).json()
    assert printed["target"]["web"]["context"] == "work/web"


def test_a_mistake_in_a_compose_file_of_bake_is_shown_with_its_place(polyarch: Program, work: Path) -> None:
    (work / "compose.yaml").write_text("services:\n  web:\n    build: {contxt: .}\n")
    failed = polyarch.fails("bake", cwd=work)
    assert "compose.yaml:3:13: services.web.build.contxt: the key 'contxt' is unknown" in failed.stderr


def test_without_pyyaml_the_message_says_what_to_install(work: Path, store_root: Path) -> None:
    code = "import sys; sys.modules['yaml'] = None; from polyarch.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "compose", "config"],
        cwd=work,
        env={**os.environ, "POLYARCH_ROOT": str(store_root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install 'polyarch[compose]'" in done.stderr


def test_commands_for_containers_say_why_they_are_not_there(polyarch: Program, work: Path) -> None:
    failed = polyarch.fails("compose", "up", cwd=work)
    assert failed.status == 2
    assert "there is no daemon that keeps containers" in failed.stderr
