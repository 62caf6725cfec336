"""The devcontainers CLI builds and pushes an image with a feature, for two platforms."""

import json

from tests.clients.stage import BOTH, Stage, Wanted

_FEATURE = {
    "id": "hello",
    "version": "1.0.0",
    "name": "Hello",
    "options": {"word": {"type": "string", "default": "none"}},
    "containerEnv": {"HELLO": "there"},
}


def drive(stage: Stage) -> None:
    container = {
        "build": {"dockerfile": "Dockerfile", "args": {"WORD": "one, two=2"}},
        "features": {"./hello": {"word": "feature"}},
        "remoteUser": "root",
    }
    project = stage.project(
        {
            ".devcontainer/devcontainer.json": json.dumps(container),
            ".devcontainer/Dockerfile": f'FROM {stage.base}\nARG WORD\nRUN echo "$WORD" > /word\n',
            ".devcontainer/hello/devcontainer-feature.json": json.dumps(_FEATURE),
            ".devcontainer/hello/install.sh": '#!/bin/sh\necho "$WORD on $(uname -m)" > /feature\n',
        }
    )
    repository = stage.repository("dev/app")
    program = stage.place / "node_modules/.bin/devcontainer"
    command = [program, "build", "--workspace-folder", project, "--platform", ",".join(BOTH)]
    cache = f"type=registry,ref={repository.name}:cache"
    stage.run([*command, "--push", "--image-name", f"{repository.name}:1", "--cache-to", cache], cwd=project, absent=1)
    names = ["--image-name", f"{repository.name}:2", "--cache-from", cache]
    stage.run([*command, "--push", *names], cwd=project)
    wanted = Wanted(
        labels={"devcontainer.metadata": '[ {"id":"./hello"}, {"remoteUser":"root"} ]'},
        variables=("HELLO=there",),
        files={"word": "one, two=2\n", "feature": "feature on {machine}\n"},
    )
    for tag in ("1", "2"):
        stage.compare(repository, tag, wanted)
