"""`bake --explain --html`: what building targets would do, as a page: the picture, what is shared, and all steps."""

from polyarch.builder.forecast import report
from polyarch.builder.forecast.values import Forecast, TargetForecast
from polyarch.builder.history import summary
from polyarch.render.forecast_graph import render_figure
from polyarch.render.html import escape, page

_CELLS = {"cached": "yes", "to do": "odd"}


def render_page(forecast: Forecast) -> str:
    """The page."""
    body = ['<h2>Graph</h2>\n<div class="wide" data-part="graph">' + render_figure(forecast) + "</div>"]
    shared = report.shared_nodes(forecast)
    if shared:
        rows = [
            f'<tr><td>{escape(report.kind_of(node))}</td><th scope="row">{escape(node.name)}</th>'
            f"<td>{escape(report.state_of(forecast, node))}</td><td>{escape(', '.join(node.targets))}</td></tr>"
            for node in shared
        ]
        body.append("<h2>Shared, and done once</h2>\n" + _table("shared", ("Kind", "Name", "Result", "Targets"), rows))
    body += [f"<h2>{escape(report.target_line(one))}</h2>\n" + _steps(forecast, one) for one in forecast.targets]
    return page("What a bake would do", report.headline(forecast), body)


def _steps(forecast: Forecast, target: TargetForecast) -> str:
    rows = []
    for step in report.shown(target):
        state = report.state(step)
        rows.append(
            f'<tr><th scope="row">{escape(summary.step_name(step))}</th>'
            f"<td>{escape(summary.step_platforms(step, target.record))}</td>"
            f'<td class="{_CELLS.get(state, "")}">{escape(state)}</td><td>{escape(step.how)}</td>'
            f"<td>{escape(report.named(forecast.others(target, step.id)))}</td>"
            f'<td class="text">{escape(summary.step_reason(step))}</td></tr>'
        )
    return _table("steps", ("Step", "Platforms", "Result", "How", "Shared with", "Why"), rows)


def _table(part: str, heads: tuple[str, ...], rows: list[str]) -> str:
    shown = "".join(f'<th scope="col">{head}</th>' for head in heads)
    table = f"<thead><tr>{shown}</tr></thead>\n<tbody>" + "\n".join(rows) + "</tbody>"
    return f'<div class="wide"><table data-part="{part}">{table}</table></div>'
