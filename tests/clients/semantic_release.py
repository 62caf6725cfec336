"""semantic-release with @codedependant/semantic-release-docker releases into a registry that wants a password."""

import json
import subprocess

from scripts.local_registry import running
from tests.clients.pushed import Repository
from tests.clients.stage import BOTH, Stage, Wanted

_LOGIN = ("ada", "s3cret: 'ü/+%")


def drive(stage: Stage) -> None:
    hashed = subprocess.run(["htpasswd", "-nbB", *_LOGIN], env=stage.env, capture_output=True, text=True, check=True)
    (stage.directory / "htpasswd").write_text(f"{hashed.stdout.strip()}\n")
    with running(stage.directory / "r", htpasswd=stage.directory / "htpasswd") as registry:
        _release(stage, registry.address)


def _release(stage: Stage, registry: str) -> None:
    remote = stage.directory / "remote.git"
    image = {
        "dockerRegistry": registry,
        "dockerProject": "released",
        "dockerImage": "app",
        "dockerPlatform": list(BOTH),
        "dockerArgs": {"WORD": "{{version}}, two=2"},
        "dockerBuildFlags": {"label": ["app=web"], "annotation": ["index:app=web"], "provenance": ["mode=max"]},
    }
    plugins = ["@semantic-release/commit-analyzer", ["@codedependant/semantic-release-docker", image]]
    release = {"branches": ["main"], "repositoryUrl": remote.as_uri(), "plugins": plugins}
    project = stage.project(
        {
            "package.json": json.dumps({"name": "app", "version": "0.0.0", "release": release}),
            ".gitignore": "node_modules\n",
            "Dockerfile": f'FROM {stage.base}\nARG WORD\nRUN echo "$WORD on $(uname -m)" > /word\n',
        }
    )
    stage.commit(project)
    stage.packages_into(project)
    for words in (["clone", "-q", "--bare", project, remote], ["-C", project, "remote", "add", "origin", remote]):
        subprocess.run(["git", *words], env=stage.env, check=True, capture_output=True)
    login = {"DOCKER_REGISTRY_USER": _LOGIN[0], "DOCKER_REGISTRY_PASSWORD": _LOGIN[1]}
    stage.run([project / "node_modules/.bin/semantic-release", "--no-ci"], cwd=project, env=login)
    repository = Repository(registry, "released/app", ":".join(_LOGIN))
    stage.equal("tags", repository.tags, ["1-latest", "1.0.0", "latest"])
    wanted = Wanted(
        labels={"app": "web"},
        annotations={"app": "web"},
        files={"word": "1.0.0, two=2 on {machine}\n"},
        attested=len(BOTH),
    )
    stage.compare(repository, "1.0.0", wanted)
