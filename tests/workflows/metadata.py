"""docker/metadata-action: tags, labels and annotations of a revision. It calls no docker."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.workflows.job import Job

# A description has what a shell, a CSV field and a list of KEY=VALUE each treat in their own way.
_DESCRIPTION = 'Says "hi", a=b; $HOME and `id` stay'
_SEMVER = ("{{version}}", "{{major}}.{{minor}}", "{{major}}")


def metadata(job: "Job", inputs: Mapping[str, Any]) -> None:
    """The action for a push of a tag `v1.2.3`."""
    images = [line.strip() for line in str(inputs["images"]).splitlines() if line.strip()]
    versions = _versions(job, inputs)
    github = job.substitute("${{ github }}")
    described = {
        "org.opencontainers.image.description": _DESCRIPTION,
        "org.opencontainers.image.revision": github["sha"],
        "org.opencontainers.image.source": f"https://github.test/{github['repository']}",
        "org.opencontainers.image.title": github["repository"].partition("/")[2],
        "org.opencontainers.image.version": versions[0],
    }
    labels = [f"{name}={value}" for name, value in described.items()]
    levels = str(job.substitute("${{ env.DOCKER_METADATA_ANNOTATIONS_LEVELS }}")) or "manifest"
    annotations = [f"{level}:{label}" for level in levels.split(",") for label in labels]
    tags = [f"{image}:{version}" for image in images for version in versions]
    document = json.dumps({"tags": tags, "labels": described, "annotations": annotations})
    target = {
        "tags": tags,
        "labels": described,
        "annotations": annotations,
        "args": {"DOCKER_META_IMAGES": ",".join(images), "DOCKER_META_VERSION": versions[0]},
    }
    bake = job.temp / "docker-metadata-action-bake.json"
    bake.write_text(json.dumps({"target": {"docker-metadata-action": target}}))
    outputs = {
        "version": versions[0],
        "tags": "\n".join(tags),
        "labels": "\n".join(labels),
        "annotations": "\n".join(annotations),
        "json": document,
        "bake-file": str(bake),
    }
    job.set_outputs(**outputs)
    job.export({f"DOCKER_METADATA_OUTPUT_{name.upper().replace('-', '_')}": value for name, value in outputs.items()})


def _versions(job: "Job", inputs: Mapping[str, Any]) -> list[str]:
    """The tags of an image: those of `tags`, by default the git tag; and `latest`, as for every release."""
    name = str(job.substitute("${{ github.ref_name }}"))
    major, minor, patch = name.removeprefix("v").split(".")
    parts = dict(zip(_SEMVER, (f"{major}.{minor}.{patch}", f"{major}.{minor}", major), strict=True))
    found = []
    for line in str(inputs.get("tags") or "type=ref,event=tag").splitlines():
        keys = dict(part.split("=", 1) for part in line.strip().split(","))
        match keys["type"]:
            case "semver":
                found.append(parts[keys["pattern"]])
            case "raw":
                found.append(keys["value"])
            case "ref" if keys["event"] == "tag":
                found.append(name)
            case kind:
                assert kind == "ref", f"metadata-action: type={kind} is not known here"
    return [*found, "latest"]
