"""`explain --html`: a build as a time line, with one lane for each platform."""

from typing import TYPE_CHECKING

from polyarch.builder.history import summary
from polyarch.render.html import escape, page

if TYPE_CHECKING:
    from polyarch.builder import BuildRecord, StepRecord

_STYLE = """
.lane { display: grid; grid-template-columns: 11rem 1fr; align-items: center; border-bottom: 1px solid var(--line); }
.lane:last-of-type { border-bottom: 0; }
.lane > b { font: 13px ui-monospace, monospace; padding: .3rem .7rem; }
.track { position: relative; min-height: 1.8rem; margin-right: .7rem; }
.bar { position: absolute; height: 1.2rem; min-width: 3px; border-radius: 3px; background: var(--bar); }
.bar.emulated { background: var(--bar2); } .bar.failed { background: var(--no); }
.axis { display: flex; justify-content: space-between; margin: .2rem .7rem 0 11rem; color: var(--faint);
  font-size: 12px; }
.key { display: inline-block; width: .8rem; height: .8rem; border-radius: 3px; margin: 0 .3rem 0 1rem;
  background: var(--bar); vertical-align: middle; }
.key.emulated { background: var(--bar2); } .key.failed { background: var(--no); }
"""
_ROW = 1.5  # rem, from one row of bars to the next


def render_page(record: "BuildRecord", *, planned: bool) -> str:
    """The record as a page: a time line of the steps that ran, a table of all steps with reasons, then advice.

    `planned`: the record is of a build that did not run, so there is no time line.
    """
    platforms = ", ".join(record.platforms)
    subject = record.dockerfile if planned else summary.image_names(record)
    body: list[str] = []
    if not planned:
        body += _timeline(record)
    body.append("<h2>Steps</h2>\n" + _table(record, planned=planned))
    emulation = summary.emulation(record)
    if emulation:
        body.append("<h2>Emulation</h2>\n<ul>" + "".join(f"<li>{escape(line)}</li>" for line in emulation) + "</ul>")
    advice = summary.advice(record)
    if advice:
        body.append("<h2>Advice</h2>\n<ul>" + "".join(f"<li>{escape(line)}</li>" for line in advice) + "</ul>")
    title = f"What a build of {subject} would do" if planned else f"The build of {subject}"
    lead = f"for {platforms}" if planned else f"for {platforms}, in {record.seconds:.1f} s"
    return page(title, lead, body, _STYLE)


def _timeline(record: "BuildRecord") -> list[str]:
    steps = [step for step in summary.shown_steps(record) if not step.cached]
    if not steps:
        return ["<h2>Time line</h2>\n<p>Everything was cached.</p>"]
    total = max(max(step.begun + step.seconds for step in steps), 0.001)
    lanes: dict[str, list[StepRecord]] = {}
    if any(len(step.platforms) > 1 for step in steps):
        lanes["shared"] = []
    for platform in record.platforms:
        lanes[platform] = []
    for step in steps:
        lanes.setdefault(step.platforms[0] if len(step.platforms) == 1 else "shared", []).append(step)
    shown = "".join(_lane(name, lane, total) for name, lane in lanes.items())
    keys = (("", "native"), (" emulated", "emulated"), (" failed", "failed"))
    legend = "".join(f'<span class="key{style}"></span>{word}' for style, word in keys)
    return [
        f'<h2>Time line</h2>\n<div class="wide" data-part="timeline">{shown}</div>',
        f'<div class="axis"><span>0 s</span><span>{total / 2:.1f} s</span><span>{total:.1f} s</span></div>',
        f"<p>{legend}</p>",
    ]


def _lane(name: str, steps: "list[StepRecord]", total: float) -> str:
    ends: list[float] = []  # for each row of bars, when it is free again
    bars = []
    for step in sorted(steps, key=lambda step: step.begun):
        row = next((number for number, end in enumerate(ends) if end <= step.begun), len(ends))
        ends[row : row + 1] = [step.begun + max(step.seconds + step.waited, total / 200)]
        left, width = 100 * step.begun / total, 100 * (step.seconds + step.waited) / total
        style = f"left:{left:.2f}%;width:{width:.2f}%;top:{row * _ROW + 0.3:.2f}rem"
        kind = " failed" if step.error else " emulated" if step.how == "emulated" else ""
        how = f" {summary.step_how(step)}" if step.how else ""
        words = escape(f"{summary.step_name(step)}: {step.seconds:.1f} s{how}{summary.step_wait(step)}")
        bars.append(f'<span class="bar{kind}" style="{style}" title="{words}" role="img" aria-label="{words}"></span>')
    height = f"height:{len(ends) * _ROW + 0.3:.2f}rem"
    return f'<div class="lane"><b>{escape(name)}</b><div class="track" style="{height}">{"".join(bars)}</div></div>'


def _table(record: "BuildRecord", *, planned: bool) -> str:
    heads = "".join(f'<th scope="col">{word}</th>' for word in ("Step", "Platforms", "Result", "How", "Why"))
    rows = []
    for step in summary.shown_steps(record):
        style = "yes" if step.cached else "no" if step.error else "odd"
        cells = [
            f'<th scope="row">{escape(summary.step_name(step))}</th>',
            f"<td>{escape(summary.step_platforms(step, record))}</td>",
            f'<td class="{style}">{escape(summary.step_state(step, planned=planned))}</td>',
            f"<td>{escape(summary.step_how(step))}</td>",
            f'<td class="text">{escape(summary.step_reason(step))}</td>',
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    table = f"<thead><tr>{heads}</tr></thead>\n<tbody>" + "\n".join(rows) + "</tbody>"
    return f'<div class="wide"><table data-part="steps">{table}</table></div>'
