"""A build record for people: which steps to show, their state, the reasons, and advice for a faster build. The
functions return plain text. Layout, colours and escaping belong to `render`.
"""

from typing import Any

import msgspec

from polyarch.builder.history.emulation import costs
from polyarch.builder.history.record import BuildRecord, StepRecord

# Advise on emulated steps, and on waits, from this many seconds on.
_LONG = 1.0
# Mention a wait from this many seconds on.
_NOTABLE = 0.1
# The context and heredocs (<<EOF) are steps of the plan, but not of the user's Dockerfile.
_INTERNAL = ("Context", "Inline")


def shown_steps(record: BuildRecord) -> list[StepRecord]:
    """The steps to show: those of the user's Dockerfile that the build reached."""
    return [step for step in record.steps if step.kind not in _INTERNAL and (step.done or step.cached)]


def advice(record: BuildRecord) -> list[str]:
    """What helps against the failures of the build, then what would make it faster, the largest gain first.

    One sentence each.
    """
    failed = [f"{step.name} failed: {hint}" for step in record.steps if (hint := step.error.partition("\n")[2])]
    emulated = [step for step in record.steps if step.how == "emulated" and step.seconds >= _LONG]
    waited = [step for step in record.steps if step.waited >= _LONG]
    slow = [
        f"{step.name} took {step.seconds:.1f} s under emulation for {', '.join(step.platforms)}: if it can compile for "
        "another platform, or makes the same files for all, move it to a stage FROM --platform=$BUILDPLATFORM and "
        "COPY --from it"
        for step in sorted(emulated, key=lambda step: -step.seconds)
    ]
    waiting = [
        f"{step.name} waited {step.waited:.1f} s for a cache mount with sharing=locked: with sharing=private, or "
        "another id=, it does not wait"
        for step in sorted(waited, key=lambda step: -step.waited)
    ]
    return [*failed, *slow, *waiting]


def image_names(record: BuildRecord) -> str:
    """The names that the build gave its image, in docker's short form."""
    from polyarch.images import names

    return ", ".join(map(names.familiar, record.names)) or "unnamed image"


def step_name(step: StepRecord) -> str:
    """The name of a step, without the digest of a base image: `step_reason` gives that where it matters."""
    return step.name.partition("@sha256:")[0] if step.kind == "ImageLayers" else step.name


def step_platforms(step: StepRecord, record: BuildRecord) -> str:
    """The platforms that a step ran for; `all, once` if one run served every platform of the build."""
    if len(record.platforms) > 1 and len(step.platforms) == len(record.platforms):
        return "all, once"
    return ", ".join(step.platforms)


def step_state(step: StepRecord, *, planned: bool) -> str:
    """Whether a step was cached, failed or canceled, else how long it took. `planned`: the build did not run yet."""
    if step.cached:
        return "cached"
    if step.error:
        return "failed"
    if step.canceled:
        return "canceled"
    if planned:
        return "to do"
    return f"{step.seconds:.1f} s{step_wait(step)}"


def step_how(step: StepRecord) -> str:
    """How a RUN ran, and on which member of a farm."""
    return f"{step.how} on {step.ran.member}" if step.ran.member else step.how


def emulation(record: BuildRecord) -> list[str]:
    """What emulation cost, a sentence for each platform that had emulated steps of some length."""
    return [str(cost) for cost in costs(record.steps) if cost.seconds >= _LONG]


def step_wait(step: StepRecord) -> str:
    """How long a step waited for others or was on its way to a member and back, to follow its duration. Empty if that
    was too short to mention.
    """
    if step.ran.sent >= _NOTABLE:
        return f", sent in {step.ran.sent:.1f} s"
    return f", waited {step.waited:.1f} s" if step.waited >= _NOTABLE else ""


def step_reason(step: StepRecord) -> str:
    """Why a step failed, or why its result did not come from the cache, or from which cache it came."""
    return "; ".join([*([step.error.partition("\n")[0]] if step.error else []), *step.reasons])


def document(record: BuildRecord) -> dict[str, Any]:
    """The record as `explain --json` prints it: plain JSON values, with the advice.

    A step's `inputs` are the ids of steps: a file system of a stage is replaced by the step on its top.
    """
    shown: dict[str, Any] = msgspec.to_builtins(record)
    del shown["stacks"]
    tops = {stack: top for stack, (_, top) in record.stacks.items()}
    for step, fields in zip(record.steps, shown["steps"], strict=True):
        if step.inputs:
            fields["inputs"] = [tops.get(key, key) for key in step.inputs]
        # Fields with their default value are left out above; these are always there.
        fields |= fields.pop("ran", {})
        fields |= {"cached": step.cached, "seconds": step.seconds, "waited": step.waited, "reasons": list(step.reasons)}
    return {
        **shown,
        "emulation": [msgspec.to_builtins(cost) for cost in costs(record.steps)],
        "advice": advice(record),
    }
