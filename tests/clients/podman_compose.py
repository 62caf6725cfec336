"""podman-compose builds and pushes a service with docker as its podman. It builds for one platform."""

import json

from tests.clients.stage import Stage, Wanted

_PLATFORM = "linux/arm64"


def drive(stage: Stage) -> None:
    repository = stage.repository("composed/web")
    build = {
        "context": "web",
        "args": {"WORD": "one, two=2", "OTHER": "y"},
        "labels": {"app": "web"},
        "tags": [f"{repository.name}:2"],
        "extra_hosts": ["other:127.0.0.1"],
        "ulimits": {"nofile": 512},
        "target": "app",
        "additional_contexts": [f"more={stage.project({'more': 'text'}, 'more')}"],
        "platforms": ["linux/amd64", _PLATFORM],
    }
    service = {"image": f"{repository.name}:1", "platform": _PLATFORM, "build": build}
    project = stage.project(
        {
            "compose.yaml": json.dumps({"services": {"web": service}}),
            "web/Dockerfile": f"FROM {stage.base} AS app\nARG WORD\n"
            'RUN echo "$WORD on $(uname -m), $(ulimit -n), $(grep -c other /etc/hosts)" > /word\n'
            "COPY --from=more more /\nFROM app\nRUN false\n",
        }
    )
    program = stage.place / "venv/bin/podman-compose"
    compose = [program, "--podman-path", stage.shims / "docker"]
    stage.run([*compose, "build", "--no-cache", "--build-arg", "OTHER=x"], cwd=project)
    stage.run([*compose, "push"], cwd=project)
    # It follows a link, so it calls Polyarch by its own name.
    stage.run([program, "--podman-path", stage.links / "docker", "build"], cwd=project)
    stage.equal("tags", repository.tags, ["1"])
    files = {"word": "one, two=2 on {machine}, 512, 1\n", "more": "text"}
    stage.compare(repository, "1", Wanted(platforms=(_PLATFORM,), labels={"app": "web"}, files=files))
