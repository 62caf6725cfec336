"""`explain`: a build as text, a table of its steps with the reasons."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from polyarch.builder.history import summary
from polyarch.render import tables, text

if TYPE_CHECKING:
    from polyarch.builder import BuildRecord, StepRecord

_NAME_WIDTH = 60


def render_text(record: "BuildRecord", now: float, *, planned: bool) -> str:
    """The steps of a build as a table, the advice below.

    `now` is in seconds since 1970, and gives the build's age. `planned`: the record is of a build that did not run.
    """
    platforms = ", ".join(record.platforms)
    if planned:
        head = f"A build of {record.dockerfile} for {platforms} would do this:"
    else:
        age = text.age(max(0.0, now - record.begun))
        head = f"{summary.image_names(record)} for {platforms}, built {age} in {record.seconds:.1f} s"
    rows = [_row(step, record, planned) for step in summary.shown_steps(record)]
    lines = [head, "", tables.render(("STEP", "PLATFORMS", "RESULT", "HOW", "WHY"), rows)]
    emulation = summary.emulation(record)
    if emulation:
        lines += ["Emulation:", *(f"- {text.plain(sentence)}" for sentence in emulation), ""]
    advice = summary.advice(record)
    if advice:
        lines += ["Advice:", *(f"- {text.plain(sentence)}" for sentence in advice), ""]
    return "\n".join(lines)


def _row(step: "StepRecord", record: "BuildRecord", planned: bool) -> Sequence[str]:
    return (
        text.clip(text.plain(summary.step_name(step)), _NAME_WIDTH),
        summary.step_platforms(step, record),
        summary.step_state(step, planned=planned),
        text.plain(summary.step_how(step)),
        text.plain(summary.step_reason(step)),
    )
