"""Docker's actions with Polyarch as docker: green means that everything was done.

With a part of the answers missing, the actions stay green and leave out what they cannot ask for: attestations, the
digest, the summary. Then the checks below must fail.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from scripts.local_registry import LocalRegistry
from tests.cli.docker.actions import Outputs, Run, StepError, Workflow
from tests.cli.docker.conftest import Named
from tests.program import Result

pytestmark = pytest.mark.integration
PLATFORMS = "linux/amd64,linux/arm64"


def check(docker: Named, outputs: Outputs, tag: str) -> None:
    """The result of build-push is what the workflow asked for."""
    index = docker("buildx", "imagetools", "inspect", "--raw", tag).json()
    attested = [
        one["annotations"]["vnd.docker.reference.digest"]
        for one in index["manifests"]
        if one.get("annotations", {}).get("vnd.docker.reference.type") == "attestation-manifest"
    ]
    images = [one["digest"] for one in index["manifests"] if one["platform"]["architecture"] != "unknown"]
    assert len(images) == 2
    assert sorted(attested) == sorted(images)
    digest = docker("buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}", tag).stdout.strip()
    assert outputs.digest == outputs.image_id == digest
    expected = {"containerimage.digest", "containerimage.descriptor", "image.name", "buildx.build.ref"}
    assert expected <= set(outputs.metadata)
    assert outputs.metadata["image.name"] == tag
    assert outputs.metadata["buildx.build.ref"].startswith("B/")
    assert outputs.warnings == ()


def run_all(docker: Named, registry: LocalRegistry, tmp_path: Path, alter: "Alter | None") -> None:
    """A workflow of two jobs: one that builds and pushes, and one whose Dockerfile has a mistake."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    workflow = Workflow(docker, tmp_path, alter)
    workflow.set_up("B")
    tag = f"{registry.address}/team/app:1"
    check(docker, workflow.build_and_push(tag, PLATFORMS, context), tag)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY absent /\n")
    with pytest.raises(StepError) as failed:
        workflow.build_and_push(tag, PLATFORMS, context)
    assert str(failed.value).startswith("buildx failed with: ERROR: ")
    assert '"/absent": not found' in str(failed.value)


Alter = Callable[[Sequence[str], Run], Result]


def without_bare_buildx(words: Sequence[str], run: Run) -> Result:
    return Result(tuple(words), 2, "", "usage\n") if list(words) == ["buildx"] else run(words)


def without_the_version(words: Sequence[str], run: Run) -> Result:
    done = run(words)
    return done._replace(stdout="Version: 0.1.0\n") if list(words) == ["buildx", "version"] else done


def without_the_version_of_buildkit(words: Sequence[str], run: Run) -> Result:
    done = run(words)
    if words[:2] != ("buildx", "inspect"):
        return done
    return done._replace(stdout="\n".join(line for line in done.lines() if not line.startswith("BuildKit version")))


def without_attestations(words: Sequence[str], run: Run) -> Result:
    if "--attest" in words:
        place = words.index("--attest")
        words = (*words[:place], *words[place + 2 :])
    return run(words)


def without_the_metadata_file(words: Sequence[str], run: Run) -> Result:
    if "--metadata-file" in words:
        place = words.index("--metadata-file")
        words = (*words[:place], *words[place + 2 :])
    return run(words)


def without_the_reference(words: Sequence[str], run: Run) -> Result:
    done = run(words)
    if "--metadata-file" in words and done.status == 0:
        file = Path(words[words.index("--metadata-file") + 1])
        metadata = json.loads(file.read_text())
        del metadata["buildx.build.ref"]
        file.write_text(json.dumps(metadata))
    return done


def with_the_hint_last(words: Sequence[str], run: Run) -> Result:
    done = run(words)
    return done._replace(stderr=f"{done.stderr}hint: try again\n") if done.status and done.stderr else done


ALL: list[Alter] = [
    without_bare_buildx,
    without_the_version,
    without_the_version_of_buildkit,
    without_attestations,
    without_the_metadata_file,
    without_the_reference,
    with_the_hint_last,
]


def test_a_workflow_is_green_and_all_of_it_was_done(docker: Named, registry: LocalRegistry, tmp_path: Path) -> None:
    run_all(docker, registry, tmp_path, None)


@pytest.mark.parametrize("alter", ALL)
def test_it_is_noticed_if_a_piece_is_missing(
    docker: Named, registry: LocalRegistry, tmp_path: Path, alter: Alter
) -> None:
    with pytest.raises((AssertionError, StepError)):
        run_all(docker, registry, tmp_path, alter)


def test_a_matrix_pushes_by_digest_and_joins(docker: Named, registry: LocalRegistry, tmp_path: Path) -> None:
    """The recipe of Docker's documentation for a build on several runners, with both forms of the output."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    repository = f"{registry.address}/team/app"
    digests = []
    for platform, words in (
        (
            "linux/amd64",
            ["--output", f"type=image,name={repository},push-by-digest=true,name-canonical=true,push=true"],
        ),
        (
            "linux/arm64",
            ["--tag", repository, "--output", "type=image,push-by-digest=true,name-canonical=true,push=true"],
        ),
    ):
        file = tmp_path / f"{platform[-5:]}.json"
        docker("buildx", "build", "--platform", platform, *words, "--metadata-file", file, tmp_path)
        digests.append(json.loads(file.read_text())["containerimage.digest"])
    tags = ["-t", f"{repository}:1", "-t", f"{repository}:latest"]
    docker("buildx", "imagetools", "create", *tags, *(f"{repository}@{digest}" for digest in digests))
    index = docker("buildx", "imagetools", "inspect", "--raw", f"{repository}:1").json()
    assert [one["platform"]["architecture"] for one in index["manifests"]] == ["amd64", "arm64"]
