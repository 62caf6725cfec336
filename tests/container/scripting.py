"""Running a script of docs/guides/ci.md as a CI service does."""

import re
from collections.abc import Callable
from pathlib import Path

from tests.container import page
from tests.program import Program

# What docker/login-action does, with the links of the step before on PATH.
_LOGIN_ACTION = (
    'PATH="$(cat "$GITHUB_PATH"):$PATH"; printf %s "$REGISTRY_PASSWORD" | '
    'docker login --password-stdin --username "$REGISTRY_USER" "$REGISTRY"'
)


def perform(
    run: Callable[[str, dict[str, str]], object],
    work: Path,
    polyarch: Program,
    address: str,
    login: tuple[str, str],
    script: page.Script,
) -> None:
    """Run the lines with `run` in a directory `work`, and look at what they pushed with `polyarch`, which is logged in.

    The registry at `address` has the image busybox, and wants the user and password of `login`.
    """
    user, password = login
    repository = f"{address}/team/{re.sub('[^a-z]+', '-', script.section.lower())}"
    (work / "Dockerfile").write_text(f"FROM {address}/busybox\nRUN uname -m > /machine\nCMD cat /machine\n")
    variables = {
        "REGISTRY": address,
        "REGISTRY_USER": user,
        "REGISTRY_PASSWORD": password,
        "CI_REGISTRY": address,
        "CI_REGISTRY_USER": user,
        "CI_REGISTRY_PASSWORD": password,
        "IMAGE": repository,
        "VERSION": "1",
        "TAGS": f"{repository}:1\n{repository}:latest",
        "RUNNER_TEMP": "temp",
        "GITHUB_PATH": "path",
    }
    lines = []
    for line in script.lines:
        lines += [line, _LOGIN_ACTION] if "$GITHUB_PATH" in line else [line]
    run("\n".join(lines), variables)
    pushed = polyarch("buildx", "imagetools", "inspect", f"{repository}:1").stdout
    assert all(f"linux/{name}" in pushed for name in ("amd64", "arm64")), pushed
