"""docs/guides/ci.md: Polyarch accepts every command line, and every snippet of YAML has the form of its service."""

import re
import subprocess
from typing import Any

import pytest
import yaml

from polyarch.cli.commands.program import program as ours
from polyarch.cli.docker.program import program as docker
from tests.commandlines import recorded, usage_error
from tests.container import page, podman

VARIABLES = {
    "CI_REGISTRY": "registry.test",
    "CI_REGISTRY_IMAGE": "registry.test/team/app",
    "DIGEST": "sha256:0",
    "DOCKER_METADATA_OUTPUT_JSON": "{}",
    "GITHUB_ENV": "/dev/null",
    "GITHUB_OUTPUT": "/dev/null",
    "GITHUB_PATH": "/dev/null",
    "IMAGE": "registry.test/team/app",
    "REGISTRY": "registry.test",
    "RUNNER_TEMP": "temp",
    "VERSION": "1",
}
# What an expression of a workflow may be, where a value of any kind would not do.
_VALUES = {"matrix.platform": "linux/arm64", "matrix.arch": "arm64", "steps.build.outputs.digest": "sha256:" + "0" * 64}


def _commands(script: str) -> list[list[str]]:
    """The command lines of docker and Polyarch in a script; in a container, that of the container."""
    text = re.sub(r"\$\{\{ (.*?) \}\}", lambda found: _VALUES.get(found[1], "value"), script)
    found = []
    for words in recorded(text, VARIABLES):
        if words[0] == "podman":
            assert tuple(words[2 : 2 + len(podman.OPTIONS)]) == podman.OPTIONS
            words = words[words.index("polyarch") :]
        found.append(words)
    return found


def _wrong(script: str) -> list[tuple[str, list[str]]]:
    programs = {"polyarch": ours, "docker": docker}
    told = [(usage_error(programs[words[0]], words[1:]), words) for words in _commands(script)]
    return [one for one in told if one[0]]


def test_every_command_of_a_script_is_accepted() -> None:
    scripts = ["\n".join(script.lines) for script in page.scripts()]
    assert sum(len(_commands(script)) for script in scripts) > 10
    assert [wrong for script in scripts for wrong in _wrong(script)] == []


def test_every_command_of_a_workflow_is_accepted() -> None:
    scripts = page.other_scripts()
    commands = [words for script in scripts for words in _commands(script)]
    assert {words[0] for words in commands} == {"docker", "polyarch"}
    assert len(commands) > 20
    assert [wrong for script in scripts for wrong in _wrong(script)] == []


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("polyarch build --platfrom linux/arm64 .", "--platfrom"),
        ("true && polyarch buidl .", "buidl"),
        ("docker buildx imagetools create --tags a b", "--tags"),
        ("x=$(docker buildx bake --prnt | jq .)", "--prnt"),
        ("polyarch merge", "DIR_OR_ARCHIVE"),
        ("podman run --security-opt seccomp=unconfined --security-opt unmask=ALL i polyarch images --al", "--al"),
    ],
)
def test_a_command_that_is_not_accepted_is_found(line: str, word: str) -> None:
    ((told, _),) = _wrong(line)
    assert word in told


@pytest.mark.parametrize("section", page.workflows())
def test_a_workflow_has_the_form_of_one(section: str) -> None:
    document: dict[Any, Any] = yaml.safe_load(page.workflows()[section])
    # YAML 1.1 has `on` for true.
    assert set(document) == {"name", True, "permissions", "env", "jobs"}
    for job in document["jobs"].values():
        assert set(job) <= {"needs", "strategy", "runs-on", "outputs", "env", "steps"}
        assert {"runs-on", "steps"} <= set(job)
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            assert set(step) <= {"name", "id", "env", "run", "uses", "with", "working-directory"}
            assert "run" in step or re.fullmatch(r"(actions|docker)/[a-z-]+@v\d+", step["uses"])


def test_every_script_of_the_page_is_one_that_bash_reads() -> None:
    scripts = [*page.preparations(), *page.other_scripts(), *("\n".join(script.lines) for script in page.scripts())]
    assert len(scripts) > 20
    for script in scripts:
        subprocess.run(["bash", "-n", "-c", re.sub(r"\$\{\{.*?\}\}", "value", script)], check=True)


def test_preparing_installs_what_the_image_has() -> None:
    installed = {word for script in page.preparations() for word in script.split() if word in ("crun", "uidmap")}
    assert installed == {"crun", "uidmap"}
    assert all('pipx install "$POLYARCH"' in script for script in page.preparations())
