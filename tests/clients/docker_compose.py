"""Debian's docker compose builds and pushes with Polyarch as docker's plugin, below docker and alone.

Our own `docker compose` must make the same of the same file.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts import docker_client
from tests.clients.stage import BOTH, Stage, Wanted

_SERVICES = ("web", "job")


def drive(stage: Stage) -> None:
    config = stage.directory / ".docker"
    stage.plugin(config)
    compose = docker_client.compose()
    (config / "cli-plugins/docker-compose").symlink_to(compose)
    # docker compose asks for an engine before it pushes what it did not build.
    none = {"DOCKER_HOST": f"unix://{stage.directory}/none.sock"}
    commands: Mapping[str, list[str | Path]] = {
        "plugin": [docker_client.docker(), "compose"],
        "alone": [compose],
        "ours": ["docker", "compose"],
    }
    for name, command in commands.items():
        project = stage.project(_files(stage, name), name)
        stage.run([*command, "config", "--quiet"], cwd=project, env=none)
        stage.run([*command, "build", "--push", "--build-arg", "MORE=3"], cwd=project, env=none)
    wanted = Wanted(labels={"app": "web"}, files={"word": "one, two=2 3 on {machine}\n"})
    for service in _SERVICES:
        repositories = [stage.repository(f"{name}/{service}") for name in commands]
        for repository in repositories:
            stage.equal(f"{repository.name}: tags", repository.tags, sorted(["1", service]))
            stage.compare(repository, "1", wanted)
        layers = {str([one.config["rootfs"] for one in each.read("1").platforms.values()]) for each in repositories}
        stage.equal(f"{service}: the same layers, whoever asked", lambda layers=layers: len(layers), 1)


def _files(stage: Stage, name: str) -> Mapping[str, str]:
    shared: dict[str, Any] = {
        "context": ".",
        "args": {"WORD": "one, two=2", "SOURCE_DATE_EPOCH": "1"},
        "labels": {"app": "web"},
        "platforms": list(BOTH),
        "provenance": False,
        "secrets": ["token"],
        "dockerfile_inline": f"FROM {stage.base}\nARG WORD\nARG MORE\n"
        'RUN --mount=type=secret,id=token test "$$(cat /run/secrets/token)" = secret\n'
        'RUN echo "$$WORD $$MORE on $$(uname -m)" > /word\n',
    }
    services = {}
    for service in _SERVICES:
        repository = stage.repository(f"{name}/{service}").name
        services[service] = {"image": f"{repository}:1", "build": shared | {"tags": [f"{repository}:{service}"]}}
    secrets = {"token": {"file": "token"}}
    return {"compose.yaml": json.dumps({"name": "app", "services": services, "secrets": secrets}), "token": "secret"}
