"""Running the scripts and workflows of docs/guides/ci.md as a CI service does."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.container import page
from tests.program import Program
from tests.workflows.machine import Machines
from tests.workflows.runner import Runner

Outputs = dict[str, list[dict[str, dict[str, str]]]]


def perform(
    run: Callable[[str, dict[str, str]], object],
    work: Path,
    polyarch: Program,
    address: str,
    base: str,
    login: tuple[str, str],
    script: page.Script,
) -> None:
    """Run the lines with `run` in a directory `work`, and look at what they pushed with `polyarch`, which is logged in.

    The registry at `address` wants the user and password of `login`; `base` is a busybox that anyone may pull.
    """
    user, password = login
    repository = f"{address}/team/{re.sub('[^a-z]+', '-', script.section.lower())}"
    (work / "Dockerfile").write_text(_dockerfile(base))
    variables = {
        "REGISTRY": address,
        "REGISTRY_USER": user,
        "REGISTRY_PASSWORD": password,
        "CI_REGISTRY": address,
        "CI_REGISTRY_USER": user,
        "CI_REGISTRY_PASSWORD": password,
        "CI_REGISTRY_IMAGE": repository,
        "CI_COMMIT_SHORT_SHA": "1",
        "IMAGE": repository,
        "VERSION": "1",
    }
    run("\n".join(script.lines), variables)
    verify(polyarch, f"{repository}:1")


def _dockerfile(base: str) -> str:
    return f"FROM {base}\nRUN uname -m > /machine\nCMD cat /machine\n"


def verify(polyarch: Program, name: str) -> dict[str, Any]:
    """Look at a name in a registry: an index with an image that was built for each platform. Returns it."""
    index: dict[str, Any] = polyarch("buildx", "imagetools", "inspect", "--raw", name).json()
    entries = [one["platform"]["architecture"] for one in index["manifests"]]
    # Digests are in the order of their names, so the platforms may have any.
    assert sorted(entry for entry in entries if entry != "unknown") == ["amd64", "arm64"]
    for platform, machine in (("linux/amd64", "x86_64"), ("linux/arm64", "aarch64")):
        polyarch("pull", "--quiet", "--platform", platform, name)
        assert polyarch("run", "--rm", "--platform", platform, name).stdout == f"{machine}\n"
    return index


def perform_workflow(
    machines: Machines, address: str, base: str, login: tuple[str, str], section: str, *, text: str = ""
) -> tuple[str, Outputs]:
    """Run the workflow of a section, or another text, for the tag v1.2.3 of a repository.

    Returns the name of the repository of images, and the outputs of the steps. The registry at `address`, which stands
    for ghcr.io, is as for perform().
    """
    user, password = login
    repository = f"team/{re.sub('[^a-z]+', '-', section.lower())}"
    contexts = {
        "github": {"actor": user, "ref_name": "v1.2.3", "repository": repository, "sha": "0" * 40},
        "secrets": {"GITHUB_TOKEN": password},
        "vars": {"POLYARCH": "git+https://example.org/polyarch"},
    }
    with tempfile.TemporaryDirectory(prefix="polyarch-workflow-") as sources:
        Path(sources, "Dockerfile").write_text(_dockerfile(base))
        Path(sources, "docker-bake.hcl").write_text(page.definition())
        runner = Runner(machines, Path(sources), contexts)
        outputs = runner.run((text or page.workflows()[section]).replace("ghcr.io", address))
    return f"{address}/{repository}", outputs
