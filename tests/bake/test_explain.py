"""`bake --explain` and `--graph`: what every target would do and what they share, without doing it."""

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from tests import trees
from tests.needs import need
from tests.program import Program

TWO = '["linux/amd64", "linux/arm64"]'
BAKE = f"""
group "default" {{ targets = ["app", "worker", "alone"] }}
target "base" {{
  context = "base"
  platforms = {TWO}
}}
target "app" {{
  context = "src"
  contexts = {{ base = "target:base" }}
  platforms = {TWO}
  target = "app"
  tags = ["app:1"]
}}
target "worker" {{
  inherits = ["app"]
  target = "worker"
  tags = ["worker:1"]
}}
target "alone" {{
  context = "alone"
  output = ["alone/out"]
}}
"""
FILES = {
    "docker-bake.hcl": BAKE,
    "base/Dockerfile": "FROM scratch\nCOPY x /x\n",
    "base/x": "1",
    "src/Dockerfile": """
FROM --platform=$BUILDPLATFORM scratch AS builder
COPY a /a
COPY b /b
FROM base AS app
COPY --from=builder /a /
FROM base AS worker
COPY --from=builder /b /
""",
    "src/a": "1",
    "src/b": "1",
    "alone/Dockerfile": "FROM scratch\nCOPY Dockerfile /\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    trees.write(tmp_path / "project", FILES)
    return tmp_path / "project"


def explained(polyarch: Program, project: Path, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = polyarch("bake", "--explain", "--format=json", *words, cwd=project).json()
    return found


def states(document: dict[str, Any], target: str) -> dict[str, str]:
    """The state of each instruction of a target for amd64."""
    (found,) = [one for one in document["targets"] if one["name"] == target]
    steps = [step for step in found["steps"] if step["kind"] != "Context" and "linux/amd64" in step["platforms"]]
    return {re.sub(r"^\[.*?\] ", "", step["name"]).partition("@")[0]: step["state"] for step in steps}


def part(document: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in document["parts"] if (one["kind"], one["name"]) == (kind, name)]
    return found  # type: ignore[no-any-return]


def test_what_targets_share_is_marked_and_counted_once(polyarch: Program, project: Path) -> None:
    found = explained(polyarch, project)
    assert [target["name"] for target in found["targets"]] == ["base", "app", "worker", "alone"]
    # base 1, builder 2, app 1, worker 1, alone 1: nothing depends on the platform.
    assert found["steps"] == {"total": 6, "to_do": 6, "cached": 0, "not_needed": 0, "shared": 2}
    assert part(found, "stage", "builder")["targets"] == ["app", "worker"]
    assert part(found, "stage", "builder")["shared"]
    assert part(found, "context", "src")["targets"] == ["app", "worker"]
    assert part(found, "target", "base")["targets"] == ["app", "worker"]
    assert not part(found, "context", "alone")["shared"]
    assert part(found, "stage", "worker")["needs"] == [
        {"how": "FROM", "kind": "target", "name": "base"},
        {"how": "COPY", "kind": "stage", "name": "builder"},
    ]
    assert part(found, "target", "worker")["platforms"] == ["linux/amd64", "linux/arm64"]
    (app,) = [one for one in found["targets"] if one["name"] == "app"]
    assert app["contexts"] == ["base"]
    shared = {step["name"]: step["shared"] for step in app["steps"]}
    assert shared["[builder 1/2] COPY a /a"] == ["worker"]
    assert shared["[app 1/1] COPY --from=builder /a /"] == []


def test_nothing_is_built_and_a_build_does_what_was_said(polyarch: Program, project: Path) -> None:
    explained(polyarch, project)
    assert polyarch("images", "-q").stdout == ""
    assert not (project / "alone/out").exists()
    polyarch("bake", cwd=project)
    found = explained(polyarch, project)
    assert found["steps"] == {"total": 6, "to_do": 0, "cached": 4, "not_needed": 2, "shared": 2}
    assert states(found, "app") == {
        "FROM target:base": "cached",
        "COPY a /a": "not needed",
        "COPY b /b": "not needed",
        "COPY --from=builder /a /": "cached",
    }


def test_each_step_has_its_reason_and_what_is_on_a_target_waits_for_it(polyarch: Program, project: Path) -> None:
    polyarch("bake", cwd=project)
    (project / "base/x").write_text("2")
    found = explained(polyarch, project)
    reasons = {
        step["name"]: step["reasons"] for target in found["targets"] for step in target["steps"] if step["reasons"]
    }
    assert reasons["[1/1] COPY x /x"] == ["files changed: x"]
    assert reasons["FROM target:base"] == ["base is built first"]
    assert reasons["[app 1/1] COPY --from=builder /a /"] == ["FROM target:base was rebuilt"]
    assert states(found, "alone") == {"COPY Dockerfile /": "cached"}
    text = polyarch("bake", "--explain", cwd=project).stdout
    assert text.startswith("4 targets, 6 steps: 3 to do, 3 cached. 2 of the steps are shared")
    assert "\napp for linux/amd64, linux/arm64, stage app, after base\n" in text
    assert "\nbase for linux/amd64, linux/arm64, only a context of others\n" in text
    assert re.search(r"^stage +builder +cached +app, worker$", text.partition("Shared, and done once")[2], re.MULTILINE)


def test_a_target_is_compared_with_its_own_last_build(polyarch: Program, project: Path) -> None:
    (project / "docker-bake.hcl").write_text(
        "".join(
            f'target t{word} {{\n context = "alone"\n args = {{ WORD = "{word}" }}\n tags = ["{word}"]\n}}\n'
            for word in ("one", "two")
        )
    )
    (project / "alone/Dockerfile").write_text("FROM scratch\nARG WORD\nCOPY f /$WORD\n")
    (project / "alone/f").write_text("1")
    polyarch("bake", "tone", "ttwo", cwd=project)
    (project / "alone/f").write_text("2")
    found = explained(polyarch, project, "tone", "ttwo")
    said = [step["reasons"] for target in found["targets"] for step in target["steps"] if step["kind"] == "Copy"]
    assert said == [["files changed: f"], ["files changed: f"]]


@pytest.mark.integration
def test_a_base_a_download_and_secrets_are_told_apart(polyarch: Program, busybox: str, project: Path) -> None:
    need("crun")
    trees.write(
        project,
        {
            "docker-bake.hcl": "".join(
                f'target {name} {{\n context = "src"\n secret = ["id=s,env={secret}"]\n}}\n'
                for name, secret in (("one", "A"), ("two", "A"), ("three", "B"))
            ),
            "src/Dockerfile": f"FROM {busybox} AS b\nRUN --mount=type=secret,id=s cat /run/secrets/s > /s\n"
            'FROM scratch\nRUN --mount=from=b,target=/b ["true"]\nCOPY --from=busybox /bin/busybox /\n',
        },
    )
    found = polyarch(
        "bake", "--explain", "--format=json", "one", "two", "three", cwd=project, env={"A": "first", "B": "second"}
    )
    document = found.json()
    assert "first" not in found.stdout
    assert part(document, "image", "busybox")["targets"] == ["one", "two", "three"]
    builders = [one for one in document["parts"] if one["name"] == "b"]
    assert [one["targets"] for one in builders] == [["one", "two"], ["three"]]
    (last, _) = [one for one in document["parts"] if one["name"] == "stage-1"]
    assert {(need["how"], need["name"]) for need in last["needs"]} == {("mount", "b"), ("COPY", "busybox")}


def test_two_targets_may_be_contexts_of_a_third_and_one_of_them_may_be_for_another_platform(
    polyarch: Program, project: Path
) -> None:
    bake = f"""
target "tool" {{
  context = "alone"
  platforms = ["linux/s390x"]
}}
target "base" {{
  context = "base"
  platforms = {TWO}
}}
target "app" {{
  dockerfile-inline = "FROM base\\nCOPY --from=tool / /tool/\\nCOPY --from=again / /again/\\n"
  contexts = {{ base = "target:base", tool = "target:tool", again = "target:tool" }}
  platforms = {TWO}
}}
"""
    (project / "docker-bake.hcl").write_text(bake)
    needs = [
        {"how": "FROM", "kind": "target", "name": "base"},
        {"how": "COPY", "kind": "target", "name": "tool"},
    ]

    def needed(document: dict[str, Any]) -> list[dict[str, str]]:
        (stage,) = [one for one in document["parts"] if one["kind"] == "stage" and one["targets"] == ["app"]]
        found: list[dict[str, str]] = stage["needs"]
        return found

    assert needed(explained(polyarch, project, "app")) == needs
    polyarch("bake", "app", cwd=project)
    found = explained(polyarch, project, "app")
    assert needed(found) == needs
    assert found["steps"]["to_do"] == 0
    (project / "alone/Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /changed\n")
    changed = states(explained(polyarch, project, "app"), "app")
    assert changed["FROM target:base"] == "cached"
    assert changed["FROM target:tool"] == "to do"


def test_the_graph_is_a_file_or_standard_output_and_always_the_same(polyarch: Program, project: Path) -> None:
    polyarch("bake", "--graph", "graph.svg", cwd=project)
    svg = (project / "graph.svg").read_text()
    assert polyarch("bake", "--graph", "-", cwd=project).stdout == svg
    root = ElementTree.fromstring(svg.partition("\n")[2])
    titles = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert "stage builder; to do; linux/amd64, linux/arm64; once for all platforms; shared by app, worker" in titles
    assert "FROM: base → app" in titles
    assert "COPY: builder → worker" in titles


def test_the_page_has_the_graph_and_all_steps(polyarch: Program, project: Path) -> None:
    page = polyarch("bake", "--html", "-", cwd=project).stdout
    assert 'data-part="graph"' in page
    assert page.count('data-part="steps"') == 4
    assert polyarch("bake", "--explain", "--html", "page.html", cwd=project).stdout == ""
    assert (project / "page.html").read_text() == page


def test_a_target_that_cannot_be_explained_is_named(polyarch: Program, project: Path) -> None:
    def failing(*words: str, **files: str) -> str:
        trees.write(project, {name.replace("__", "/"): text for name, text in files.items()})
        return polyarch.fails("bake", *words, cwd=project).stderr

    assert "target alone: Dockerfile:1" in failing("--explain", alone__Dockerfile="FORM scratch\n")
    (project / "alone/Dockerfile").unlink()
    assert re.search(r"target alone: .*Dockerfile.*no such file", failing("--graph", "-"))
    assert "there is no target 'bse'" in failing(
        "--explain", **{"docker-bake.hcl": BAKE.replace('"target:base"', '"target:bse"')}
    )
    circle = 'target a {\n contexts = { b = "target:b" }\n}\ntarget b {\n contexts = { a = "target:a" }\n}\n'
    assert "needs itself as a context" in failing("--explain", "a", **{"docker-bake.hcl": circle})
    circle = "FROM scratch AS a\nCOPY --from=b / /\nFROM a AS b\n"
    assert "target base: " in failing("--explain", base__Dockerfile=circle, **{"docker-bake.hcl": BAKE})
    assert "--format is the format of --explain" in failing("--format", "json")


def test_compose_build_explains_its_services(polyarch: Program, project: Path) -> None:
    services = {
        name: {"build": {"context": "src", "target": "builder"}, "image": f"{name}:1"} for name in ("web", "jobs")
    }
    (project / "compose.yaml").write_text(json.dumps({"name": "p", "services": services}))
    found = polyarch("compose", "build", "--explain", "--format", "json", cwd=project).json()
    assert found["steps"] == {"total": 2, "to_do": 2, "cached": 0, "not_needed": 0, "shared": 2}
    assert {target["name"]: target["tags"] for target in found["targets"]} == {"jobs": ["jobs:1"], "web": ["web:1"]}
    assert polyarch("compose", "build", "--graph", "-", cwd=project).stdout.startswith("<?xml")
