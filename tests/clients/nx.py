"""Nx with the executor of @nx-tools/nx-container builds and pushes a project, for two platforms."""

import json
from pathlib import Path

from tests.clients.stage import BOTH, Stage, Wanted


def drive(stage: Stage) -> None:
    repository = stage.repository("nx/app")
    options = {
        "engine": "docker",
        "platforms": list(BOTH),
        "tags": [f"{repository.name}:1", f"{repository.name}:2"],
        "labels": ["app=web"],
        "build-args": ["WORD=one, two=2"],
        "add-hosts": ["other:127.0.0.1"],
        "build-contexts": ["more=more"],
        "cache-from": [f"type=registry,ref={repository.name}:cache"],
        "cache-to": [f"type=registry,ref={repository.name}:cache,mode=max"],
        "secrets": ["token=secret"],
        "ulimit": ["nofile=512:512"],
        "provenance": "mode=max",
        "sbom": True,
        "pull": True,
        "push": True,
    }
    project = stage.project(
        {
            "nx.json": json.dumps({"analytics": False}),
            "package.json": json.dumps({"name": "workspace", "private": True}),
            "more/more": "text",
            "app/project.json": json.dumps(
                {"name": "app", "targets": {"image": {"executor": "@nx-tools/nx-container:build", "options": options}}}
            ),
            "app/Dockerfile": f"FROM {stage.base}\nARG WORD\nCOPY --from=more more /\n"
            'RUN --mount=type=secret,id=token test "$(cat /run/secrets/token)" = secret\n'
            'RUN echo "$WORD on $(uname -m), $(ulimit -n), $(grep -c other /etc/hosts)" > /word\n',
        }
    )
    stage.packages_into(project)
    env = {"NX_DAEMON": "false", "NX_NO_CLOUD": "true", "NX_TUI": "false", "INPUT_CREATE_BUILDER": "true"}
    stage.run([project / "node_modules/.bin/nx", "run", "app:image", "--skip-nx-cache"], cwd=project, env=env)
    wanted = Wanted(
        labels={"app": "web"},
        files={"word": "one, two=2 on {machine}, 512, 1\n", "more": "text"},
        attested=len(BOTH),
    )
    for tag in ("1", "2"):
        stage.compare(repository, tag, wanted)
    outputs = project / "node_modules/.cache/nx-container/app"
    stage.check("output digest", lambda: _text(outputs / "digest") == repository.read("1").digest)
    stage.check("output imageid", lambda: _text(outputs / "imageid") == repository.read("1").digest)
    stage.check("output metadata", lambda: json.loads(_text(outputs / "metadata"))["buildx.build.ref"])


def _text(path: Path) -> str:
    return path.read_text()
