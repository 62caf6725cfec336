"""What the actions of a workflow do: docker's, call by call (tests/cli/docker/actions.py), and GitHub's own."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.cli.docker.actions import StepError, Workflow
from tests.workflows.job import Job
from tests.workflows.metadata import metadata

# What these actions are not asked for here is an error, so that no workflow is thought to be tested that is not.
_BUILD_FLAGS = {
    "annotations": "--annotation",
    "build-args": "--build-arg",
    "build-contexts": "--build-context",
    "cache-from": "--cache-from",
    "cache-to": "--cache-to",
    "file": "--file",
    "labels": "--label",
    "outputs": "--output",
    "secrets": "--secret",
    "tags": "--tag",
    "target": "--target",
}
_SWITCHES = ("load", "no-cache", "pull", "push")
# Inputs that say how the action itself behaves.
_OWN = {"context", "platforms", "provenance", "sbom"}


def _checkout(job: Job, inputs: Mapping[str, Any]) -> None:
    """The files of the repository are there from the beginning."""


def _upload(job: Job, inputs: Mapping[str, Any]) -> None:
    job.artifacts.upload(inputs, job.workspace)


def _download(job: Job, inputs: Mapping[str, Any]) -> None:
    job.machine.give(job.artifacts.download(inputs, job.workspace))


def _login(job: Job, inputs: Mapping[str, Any]) -> None:
    registry = inputs.get("registry", "docker.io")
    words = ("login", "--password-stdin", "--username", inputs["username"], registry)
    done = job.call("docker", *words, stdin=inputs["password"])
    if done.status:
        raise StepError(done.stderr.rstrip().splitlines()[-1])
    job.after.append(lambda: _checked_post(job, "logout", registry))


def _checked_post(job: Job, *words: str) -> None:
    done = job.docker(*words)
    assert done.status == 0, str(done)


def _set_up_qemu(job: Job, inputs: Mapping[str, Any]) -> None:
    image = "docker.io/tonistiigi/binfmt:latest"
    for words in (("version",), ("info",), ("pull", image), ("image", "inspect", image)):
        job.docker(*words, check=True)
    run = ("run", "--rm", "--privileged", image)
    job.docker(*run, "--version", check=True)
    job.docker(*run, "--install", str(inputs.get("platforms", "all")), check=True)
    job.set_outputs(platforms=",".join(job.docker(*run, check=True).json()["supported"]))


def _set_up_buildx(job: Job, inputs: Mapping[str, Any]) -> None:
    Workflow(job.docker, job.temp).set_up("builder-1")
    job.after.append(lambda: _checked_post(job, "buildx", "rm", "builder-1"))


def _lines(value: Any) -> list[str]:
    """An input that is a list: a line each."""
    return [line.strip() for line in str(value).splitlines() if line.strip()]


def _flags(inputs: Mapping[str, Any]) -> list[str]:
    unknown = set(inputs) - set(_BUILD_FLAGS) - set(_SWITCHES) - _OWN
    assert not unknown, f"build-push-action: inputs that are not known here: {unknown}"
    words = [
        word for name, flag in _BUILD_FLAGS.items() for line in _lines(inputs.get(name, "")) for word in (flag, line)
    ]
    if platforms := inputs.get("platforms"):
        words += ["--platform", ",".join(part.strip() for line in _lines(platforms) for part in line.split(","))]
    return words + [f"--{name}" for name in _SWITCHES if _is_set(inputs, name)]


def _is_set(inputs: Mapping[str, Any], name: str) -> bool:
    return str(inputs.get(name, "")).lower() == "true"


def _attestations(inputs: Mapping[str, Any]) -> list[str] | None:
    """The flags of `provenance` and `sbom`; None if neither is given, and the action asks for its default."""
    found: list[str] = []
    for name in ("provenance", "sbom"):
        if name in inputs:
            value = str(inputs[name]).lower() if isinstance(inputs[name], bool) else str(inputs[name])
            said = {"true": "", "false": ",disabled=true"}.get(value, f",{value}")
            found += ["--attest", f"type={name}{said}"]
    return found or None


def _build_push(job: Job, inputs: Mapping[str, Any]) -> None:
    assert "context" in inputs, "without a context the action builds from GitHub"
    outputs = Workflow(job.docker, job.temp).build(
        _flags(inputs), job.workspace / inputs["context"], attestations=_attestations(inputs)
    )
    assert outputs.warnings == ()
    job.set_outputs(imageid=outputs.image_id, digest=outputs.digest, metadata=json.dumps(outputs.metadata))


def _bake(job: Job, inputs: Mapping[str, Any]) -> None:
    assert inputs.get("source") == ".", "without source: . the action bakes from GitHub"
    lists = {"files": "--file", "set": "--set"}
    words = [word for name, flag in lists.items() for line in _lines(inputs.get(name, "")) for word in (flag, line)]
    targets = [part.strip() for line in _lines(inputs.get("targets", "")) for part in line.split(",")]
    switches = [f"--{name}" for name in _SWITCHES if _is_set(inputs, name)]
    unknown = set(inputs) - set(lists) - set(_SWITCHES) - {"source", "targets"}
    assert not unknown, f"bake-action: inputs that are not known here: {unknown}"
    found = Workflow(job.docker, job.temp).bake([*words, *switches], targets)
    job.set_outputs(metadata=json.dumps(found))


ACTIONS: Mapping[str, Callable[[Job, Mapping[str, Any]], None]] = {
    "actions/checkout": _checkout,
    "actions/download-artifact": _download,
    "actions/upload-artifact": _upload,
    "docker/bake-action": _bake,
    "docker/build-push-action": _build_push,
    "docker/login-action": _login,
    "docker/metadata-action": metadata,
    "docker/setup-buildx-action": _set_up_buildx,
    "docker/setup-qemu-action": _set_up_qemu,
}
