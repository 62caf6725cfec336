"""What an SBOM covers besides the image: the build context and stages, if BUILDKIT_SBOM_SCAN_* says so.

As in BuildKit (docs/attestations/sbom.md), only an ARG that is declared counts: before the first FROM for all stages,
or in a stage. A build argument overrides its value. Stages that the target does not need are never scanned.
"""

from collections.abc import Mapping

import msgspec

from polyarch.builder.plan.state import StageState
from polyarch.builder.vertices import VertexId
from polyarch.dockerfile.stages import Stage

CONTEXT, STAGE = "BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"
# Arguments for the builder, which no process gets.
NOT_ENVIRONMENT = frozenset({CONTEXT, STAGE})
_BOOLEANS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}


class Scans(msgspec.Struct, frozen=True):
    """What is scanned: whether the build context, and the file systems of stages by the names of these."""

    context: bool = False
    stages: Mapping[str, VertexId] = {}


def scans(
    stages: tuple[Stage, ...], planned: Mapping[int, StageState], target: int, global_args: Mapping[str, str]
) -> Scans:
    """What is scanned for the stage number `target`. `planned` are the states of the stages that it needs."""

    def wanted(argument: str, index: int) -> bool:
        value = planned[index].arguments.get(argument) or global_args.get(argument, "")
        enabled = _BOOLEANS.get(value.lower())
        # The only stage of a Dockerfile may have no name, and is not meant by an empty value.
        named = bool(value) and _name(stages, index) in value.split(",")
        return named if enabled is None else enabled

    found = {_name(stages, index): planned[index].layers for index in sorted(planned) if index != target}
    chosen = {_name(stages, index) for index in planned if wanted(STAGE, index)}
    return Scans(wanted(CONTEXT, target), {name: layers for name, layers in found.items() if name in chosen})


def _name(stages: tuple[Stage, ...], index: int) -> str:
    """The name of a stage. Among several, one without a name is called by its number."""
    return stages[index].name or (f"stage-{index}" if len(stages) > 1 else "")
