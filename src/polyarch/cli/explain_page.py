"""`explain --html`: a build as a time line, a lane for each platform."""

from typing import TYPE_CHECKING

from polyarch.cli.explain import advice, called_of, name_of, platforms_of, shown_steps, state_of, waiting, why
from polyarch.cli.page import clean, page

if TYPE_CHECKING:
    from polyarch.builder import Record, Step

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


def render_page(record: "Record", *, planned: bool) -> str:
    """The record as a page: the time line of what was done, then every step with its reason, then advice."""
    platforms = ", ".join(record.platforms)
    called = record.dockerfile if planned else called_of(record)
    body: list[str] = []
    if not planned:
        body += _timeline(record)
    body.append("<h2>Steps</h2>\n" + _table(record, planned=planned))
    said = advice(record)
    if said:
        body.append("<h2>Advice</h2>\n<ul>" + "".join(f"<li>{clean(one)}</li>" for one in said) + "</ul>")
    title = f"What a build of {called} would do" if planned else f"The build of {called}"
    lead = f"for {platforms}" if planned else f"for {platforms}, in {record.seconds:.1f} s"
    return page(title, lead, body, _STYLE)


def _timeline(record: "Record") -> list[str]:
    done = [step for step in shown_steps(record) if not step.cached]
    if not done:
        return ["<h2>Time line</h2>\n<p>Everything was cached.</p>"]
    whole = max(max(step.begun + step.seconds for step in done), 0.001)
    lanes: dict[str, list[Step]] = {}
    if any(len(step.platforms) > 1 for step in done):
        lanes["shared"] = []
    for platform in record.platforms:
        lanes[platform] = []
    for step in done:
        lanes.setdefault(step.platforms[0] if len(step.platforms) == 1 else "shared", []).append(step)
    shown = "".join(_lane(name, steps, whole) for name, steps in lanes.items())
    keys = (("", "native"), (" emulated", "emulated"), (" failed", "failed"))
    legend = "".join(f'<span class="key{style}"></span>{word}' for style, word in keys)
    return [
        f'<h2>Time line</h2>\n<div class="wide" data-part="timeline">{shown}</div>',
        f'<div class="axis"><span>0 s</span><span>{whole / 2:.1f} s</span><span>{whole:.1f} s</span></div>',
        f"<p>{legend}</p>",
    ]


def _lane(name: str, steps: "list[Step]", whole: float) -> str:
    ends: list[float] = []  # when each row of bars is free again
    bars = []
    for step in sorted(steps, key=lambda one: one.begun):
        row = next((number for number, end in enumerate(ends) if end <= step.begun), len(ends))
        ends[row : row + 1] = [step.begun + max(step.seconds + step.waited, whole / 200)]
        left, width = 100 * step.begun / whole, 100 * (step.seconds + step.waited) / whole
        style = f"left:{left:.2f}%;width:{width:.2f}%;top:{row * _ROW + 0.3:.2f}rem"
        kind = " failed" if step.error else " emulated" if step.how == "emulated" else ""
        words = clean(f"{name_of(step)}: {step.seconds:.1f} s{' ' + step.how if step.how else ''}{waiting(step)}")
        bars.append(f'<span class="bar{kind}" style="{style}" title="{words}" role="img" aria-label="{words}"></span>')
    height = f"height:{len(ends) * _ROW + 0.3:.2f}rem"
    return f'<div class="lane"><b>{clean(name)}</b><div class="track" style="{height}">{"".join(bars)}</div></div>'


def _table(record: "Record", *, planned: bool) -> str:
    heads = "".join(f'<th scope="col">{word}</th>' for word in ("Step", "Platforms", "Result", "How", "Why"))
    rows = []
    for step in shown_steps(record):
        style = "yes" if step.cached else "no" if step.error else "odd"
        cells = [
            f'<th scope="row">{clean(name_of(step))}</th>',
            f"<td>{clean(platforms_of(step, record))}</td>",
            f'<td class="{style}">{clean(state_of(step, planned=planned))}</td>',
            f"<td>{clean(step.how)}</td>",
            f'<td class="text">{clean(why(step))}</td>',
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    table = f"<thead><tr>{heads}</tr></thead>\n<tbody>" + "\n".join(rows) + "</tbody>"
    return f'<div class="wide"><table data-part="steps">{table}</table></div>'
