"""Docker's GitHub actions setup-buildx and build-push: their calls, in their order, and how they read the answers.

The actions' own bundles are in no package; @docker/actions-toolkit, from which they are made, was read for this.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.program import Result

# One call: its words, and what runs it.
Run = Callable[[Sequence[str]], Result]
_BUILDX_VERSION = re.compile(r"\sv?([0-9a-f]{7}|[0-9.]+)")
_BUILDER_ID = "https://github.test/o/r/actions/runs/1/attempts/1"


class StepError(Exception):
    """A step of the workflow is red. The text is what its users see."""


class Outputs(NamedTuple):
    """The outputs of build-push, and the warnings of its post step."""

    image_id: str
    digest: str
    metadata: dict[str, Any]
    warnings: tuple[str, ...]


class Workflow:
    """A job that builds and pushes. `alter` runs each call, to make one piece of the answers missing.

    `docker` runs docker with some words, and knows `check` and `env` as tests.program.Program does.
    """

    def __init__(
        self,
        docker: Callable[..., Result],
        directory: Path,
        alter: Callable[[Sequence[str], Run], Result] | None = None,
    ) -> None:
        self._docker = docker
        self._directory = directory
        self._alter = alter or (lambda words, run: run(words))

    def call(self, *words: str) -> Result:
        return self._alter(
            words, lambda given: self._docker(*given, check=False, env={"BUILDX_METADATA_WARNINGS": "true"})
        )

    def checked(self, *words: str) -> Result:
        """A call that fails the step if its status is not 0 and it wrote to standard error."""
        result = self.call(*words)
        if result.status and result.stderr:
            raise StepError(f"buildx failed with: {result.stderr.rstrip().splitlines()[-1]}")
        return result

    def set_up(self, builder: str) -> None:
        """The action setup-buildx."""
        self.call("version")
        self.call("info")
        if self.call("buildx").status:
            raise StepError("buildx is downloaded")
        if self.checked("context", "inspect", "--format", "{{.Name}}").stdout.strip() == "default":
            element = json.loads(self.call("context", "inspect", "--format=json", "default").stdout)[0]
            assert not any(one.get("TLSData") for one in element["Endpoints"].values())
        if self.call("buildx", "inspect", builder).status:
            flags = "--allow-insecure-entitlement security.insecure --allow-insecure-entitlement network.host"
            self.checked(
                *("buildx", "create", "--name", builder, "--driver", "docker-container"),
                *("--buildkitd-flags", flags, "--use"),
            )
        self.checked("buildx", "inspect", "--bootstrap", "--builder", builder)
        assert self._nodes(builder)

    def build_and_push(self, tag: str, platforms: str, context: Path, *words: str) -> Outputs:
        """The action build-push with platforms, a tag and push, and its post step."""
        return self.build(["--platform", platforms, *words, "--tag", tag, "--push"], context)

    def build(self, words: Sequence[str], context: Path, *, attestations: Sequence[str] | None = None) -> Outputs:
        """The action build-push with these flags, and its post step. Without attestations it asks for its own."""
        version = self._begin()
        iidfile, file = self._directory / "iidfile", self._directory / "metadata"
        arguments = [] if _writes_files(words) else ["--iidfile", str(iidfile)]
        if attestations is None and "--load" not in words:
            attestations = [part for flag in self._default(version) for part in ("--attest", flag)]
        arguments += [*words, *(attestations or ())]
        if version >= (0, 6):
            arguments += ["--metadata-file", str(file)]
        self.checked("buildx", "build", *arguments, str(context))
        metadata = json.loads(file.read_text()) if file.exists() else {}
        return Outputs(
            image_id=iidfile.read_text() if iidfile.exists() else "",
            digest=metadata.get("containerimage.digest", ""),
            metadata=metadata,
            warnings=tuple(self._summarize([metadata], version)),
        )

    def bake(self, words: Sequence[str], targets: Sequence[str]) -> dict[str, Any]:
        """The action bake, and its post step. Returns its output `metadata`."""
        version = self._begin()
        definition = json.loads(self.checked("buildx", "bake", *words, *targets, "--print").stdout)
        file = self._directory / "bake-metadata"
        arguments = ["--allow", "fs=*", *words, "--metadata-file", str(file)]
        for flag in self._default(version):
            arguments += [part for name in definition["target"] for part in ("--set", f"{name}.attest={flag}")]
        self.checked("buildx", "bake", *arguments, *targets, "--print")
        self.checked("buildx", "bake", *arguments, *targets)
        metadata: dict[str, Any] = json.loads(file.read_text())
        assert self._summarize([one for one in metadata.values() if isinstance(one, dict)], version) == []
        return metadata

    def _begin(self) -> tuple[int, ...]:
        """The first calls of both actions. Returns the version of buildx."""
        if self.call("buildx").status:
            raise StepError("Docker buildx is required")
        return self._version()

    def _default(self, version: tuple[int, ...]) -> list[str]:
        """The attestation that an action asks for by itself, if it believes that it gets one."""
        nodes = self._nodes("")
        if version >= (0, 10) and all(_number(node.get("BuildKit version", "")) >= (0, 11) for node in nodes):
            return [f"type=provenance,mode=max,builder-id={_BUILDER_ID}"]
        return []

    def _summarize(self, results: Sequence[dict[str, Any]], version: tuple[int, ...]) -> list[str]:
        """The post step: the summary of the builds. Returns its warnings."""
        references = [one.get("buildx.build.ref", "") for one in results]
        if version < (0, 23) or not all(references):
            return ["no summary"]
        warnings = []
        for reference in references:
            builder, _, identity = reference.split("/")
            inspected = self.call("buildx", "history", "inspect", "--format", "json", "--builder", builder, identity)
            if inspected.status:
                warnings.append(inspected.stderr)
            else:
                assert json.loads(inspected.stdout)["Status"] == "completed"
        record = self._directory / "record.dockerbuild"
        identities = [reference.rpartition("/")[2] for reference in references]
        exported = self.call(
            *("buildx", "history", "export", "--builder", builder, "--output", str(record), *identities, "--finalize")
        )
        if exported.status or not record.stat().st_size:
            warnings.append(exported.stderr)
        return warnings

    def _version(self) -> tuple[int, ...]:
        found = _BUILDX_VERSION.search(self.checked("buildx", "version").stdout)
        return _number(found[1]) if found else (0,)

    def _nodes(self, builder: str) -> list[dict[str, str]]:
        """The nodes of a builder: keys at column 0, split at the first colon."""
        nodes: list[dict[str, str]] = []
        seen = False
        for line in self.checked("buildx", "inspect", *filter(None, [builder])).stdout.splitlines():
            key, colon, value = line.partition(":")
            if not colon or line.startswith(" "):
                continue
            if key == "Name" and seen:
                nodes.append({})
            seen = seen or key == "Name"
            if nodes:
                nodes[-1][key] = value.strip()
        return nodes


def _writes_files(words: Sequence[str]) -> bool:
    """Whether an output is a directory or a tar, for which the action asks no image's id."""
    return any(re.search(r"(^|,)type=(local|tar)(,|$)", word) for word in words)


def _number(version: str) -> tuple[int, ...]:
    digits = re.fullmatch(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+].*)?", version)
    return tuple(int(one or 0) for one in digits.groups()) if digits else (0,)
