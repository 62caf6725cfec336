"""The stages of a plan: the file system of each, the stages that it needs, and what its steps are called."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from polyarch.builder.plan.state import StageState
from polyarch.builder.vertices import NOTHING, VertexId
from polyarch.dockerfile.instructions.base import Instruction
from polyarch.dockerfile.stages import Stage

# The stage that a stage starts FROM, if it is one, and those that it copies from or mounts.
Related = tuple[Stage | None, Sequence[Stage]]


class PlannedStage(msgspec.Struct, frozen=True, kw_only=True):
    """One stage that the target needs. `name` is empty if it has none; `stack` is its file system, a `Stacked`.

    `parent` is the number of the stage that it starts FROM, None for an image or scratch. `sources` are the numbers of
    the stages that it copies from or mounts.
    """

    index: int
    name: str
    stack: VertexId = NOTHING
    parent: int | None = None
    sources: tuple[int, ...] = ()


def staged(
    stages: Sequence[Stage], planned: Mapping[int, StageState], related: Callable[[Stage], Related]
) -> tuple[PlannedStage, ...]:
    """The planned stages, in the order of the Dockerfile."""
    found = []
    for index in sorted(planned):
        parent, sources = related(stages[index])
        found.append(
            PlannedStage(
                index=index,
                name=stages[index].name,
                stack=planned[index].layers,
                parent=parent.index if parent is not None else None,
                sources=tuple(dict.fromkeys(source.index for source in sources)),
            )
        )
    return tuple(found)


def step_name(stage: Stage, step: str, instruction: Instruction, triggered: bool, alone: bool) -> str:
    """The name of a step: its number and text, after the name of its stage unless that is `alone`. `triggered` is
    whether an ONBUILD of the base asks for it.
    """
    where = f"{stage.name} {step}" if stage.name and not alone else step
    text = " ".join(instruction.text.split())
    return f"[{where}] {'ONBUILD ' if triggered else ''}{text}"
