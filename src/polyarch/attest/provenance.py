"""SLSA provenance: how an image was built, as a predicate of version 1 or 0.2 (slsa.dev/spec).

The fields have the names of BuildKit's (docs/attestations/slsa-definitions.md), so that its readers find them. The
steps are our own, and so is the `buildType`: docs/reference/provenance.md describes both.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from polyarch.oci import attestation

BUILD_TYPE = "urn:polyarch:build:dockerfile:v1"
# The fields of BuildKit's metadata have other names in version 0.2.
_V02 = "https://mobyproject.org/buildkit@v1#"
# Arguments that mode=min leaves out: their values may be confidential.
_PRIVATE = ("build-arg:", "label:")


class Material(msgspec.Struct, frozen=True):
    """Something that the build used: a URI, and its digest by algorithm, as in {"sha256": "9f86d0…"}."""

    uri: str
    digest: Mapping[str, str] = {}


class Access(msgspec.Struct, frozen=True, omit_defaults=True):
    """A secret or an ssh agent that a step could use, by its id. Nothing else is known of it here."""

    id: str
    optional: bool = False


class ConfigSource(msgspec.Struct, frozen=True):
    """Where the Dockerfile is: in the remote context `uri` with its digest, or on the machine that built; its path."""

    path: str
    uri: str = ""
    digest: Mapping[str, str] = {}


class BuildParameters(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked for. `locals` are the names of the inputs that came from the machine that built."""

    args: Mapping[str, str]
    secrets: tuple[Access, ...] = ()
    ssh: tuple[Access, ...] = ()
    locals: tuple[str, ...] = ()


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """What was done: JSON objects as docs/reference/provenance.md describes them.

    `steps` are in order, inputs first. `sources` are the texts that they were planned from, `locations` the lines of
    each step in these, and `layers` the layers that it added.
    """

    steps: Sequence[Mapping[str, Any]]
    sources: Sequence[Mapping[str, Any]]
    locations: Mapping[str, Any]
    layers: Mapping[str, Any]


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """How one platform's image was built. Times are in seconds since 1970.

    `materials` are complete if `complete` is set. A build is `hermetic` if it was complete and no step had a network.
    `steps` are those of mode=max. `usage` is what the build used of the machine. `version` is that of the program.
    """

    config: ConfigSource
    parameters: BuildParameters
    builder_platform: str
    materials: tuple[Material, ...]
    invocation: str
    started: float
    finished: float
    complete: bool
    hermetic: bool
    version: str
    builder_id: str = ""
    reproducible: bool = False
    vcs: Mapping[str, str] = {}
    steps: Steps | None = None
    usage: Mapping[str, Any] = {}

    def minimal(self) -> "Provenance":
        """The provenance with mode=min: without values of arguments and labels, ids of secrets, and steps."""
        kept = {key: value for key, value in self.parameters.args.items() if not key.startswith(_PRIVATE)}
        parameters = msgspec.structs.replace(self.parameters, args=kept, secrets=(), ssh=())
        return msgspec.structs.replace(self, parameters=parameters, steps=None)


def predicate(provenance: Provenance, version: str, mode: str) -> tuple[str, dict[str, Any]]:
    """The type of the predicate, and the predicate of this version ("v1" or "v0.2") and mode ("min" or "max")."""
    shown = provenance.minimal() if mode == "min" else provenance
    # The request is complete unless mode=min removed something that the user gave.
    whole = shown.parameters.args == provenance.parameters.args
    if version == "v1":
        return attestation.PROVENANCE_V1, _v1(shown, whole)
    return attestation.PROVENANCE_V02, _v02(shown, whole)


def for_metadata(found: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """A predicate of version 0.2 as buildx writes it to a metadata file: unless `whole`, only what was asked for and
    the materials.
    """
    return {name: value for name, value in found.items() if whole or name not in ("buildConfig", "metadata")}


def _v1(provenance: Provenance, whole: bool) -> dict[str, Any]:
    internal: dict[str, Any] = {"builderPlatform": provenance.builder_platform}
    if provenance.steps is not None:
        internal["buildConfig"] = {"steps": provenance.steps.steps}
    metadata: dict[str, Any] = {
        "invocationId": provenance.invocation,
        "startedOn": _time(provenance.started),
        "finishedOn": _time(provenance.finished),
        "buildkit_metadata": _metadata(provenance),
    }
    if provenance.hermetic:
        metadata["buildkit_hermetic"] = True
    metadata["buildkit_completeness"] = {"request": whole, "resolvedDependencies": provenance.complete}
    if provenance.reproducible:
        metadata["buildkit_reproducible"] = True
    if provenance.usage:
        metadata["polyarch_usage"] = dict(provenance.usage)
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "configSource": _config(provenance.config, "path"),
                "request": _request(provenance.parameters),
            },
            "internalParameters": internal,
            "resolvedDependencies": _materials(provenance.materials),
        },
        "runDetails": {
            "builder": {"id": provenance.builder_id, "version": {"polyarch": provenance.version}},
            "metadata": metadata,
        },
    }


def _v02(provenance: Provenance, whole: bool) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "buildInvocationID": provenance.invocation,
        "buildStartedOn": _time(provenance.started),
        "buildFinishedOn": _time(provenance.finished),
        "completeness": {"parameters": whole, "environment": True, "materials": provenance.complete},
        "reproducible": provenance.reproducible,
        f"{_V02}metadata": _metadata(provenance),
    }
    if provenance.hermetic:
        metadata[f"{_V02}hermetic"] = True
    if provenance.usage:
        metadata["polyarch_usage"] = dict(provenance.usage)
    found: dict[str, Any] = {
        "builder": {"id": provenance.builder_id},
        "buildType": BUILD_TYPE,
        "invocation": {
            "configSource": _config(provenance.config, "entryPoint"),
            "parameters": _request(provenance.parameters),
            "environment": {"platform": provenance.builder_platform},
        },
        "materials": _materials(provenance.materials),
    }
    if provenance.steps is not None:
        found["buildConfig"] = {"steps": provenance.steps.steps}
    return {**found, "metadata": metadata}


def _config(source: ConfigSource, path: str) -> dict[str, Any]:
    found = {"uri": source.uri, "digest": dict(source.digest), path: source.path}
    return {key: value for key, value in found.items() if value}


def _request(parameters: BuildParameters) -> dict[str, Any]:
    found = {
        "frontend": "dockerfile.v0",
        "args": dict(parameters.args),
        "secrets": [msgspec.to_builtins(one) for one in parameters.secrets],
        "ssh": [msgspec.to_builtins(one) for one in parameters.ssh],
        "locals": [{"name": name} for name in parameters.locals],
    }
    return {key: value for key, value in found.items() if value}


def _materials(materials: Sequence[Material]) -> list[dict[str, Any]]:
    return [{"uri": one.uri, "digest": dict(one.digest)} for one in materials]


def _metadata(provenance: Provenance) -> dict[str, Any]:
    found: dict[str, Any] = {"vcs": dict(provenance.vcs)}
    if (steps := provenance.steps) is not None:
        found["source"] = {"infos": steps.sources, "locations": steps.locations}
        found["layers"] = steps.layers
    return {key: value for key, value in found.items() if value}


def _time(seconds: float) -> str:
    """A time in RFC 3339, with microseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
