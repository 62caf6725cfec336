"""`bake --explain`: what building targets would do, as tables of steps and of what is shared."""

from polyarch.builder.forecast import report
from polyarch.builder.forecast.values import Forecast, TargetForecast
from polyarch.builder.history import summary
from polyarch.render import tables, text

_NAME_WIDTH = 60


def render_text(forecast: Forecast) -> str:
    """The targets one after the other, then what they share."""
    parts = [report.headline(forecast) + "\n"]
    parts += [_target(forecast, target) for target in forecast.targets]
    shared = report.shared_nodes(forecast)
    if shared:
        rows = [
            (
                report.kind_of(node),
                text.clip(text.plain(node.name), _NAME_WIDTH),
                report.state_of(forecast, node),
                text.plain(report.named(node.targets)),
            )
            for node in shared
        ]
        parts.append("Shared, and done once:\n" + tables.render(("KIND", "NAME", "RESULT", "TARGETS"), rows))
    return "\n".join(parts)


def _target(forecast: Forecast, target: TargetForecast) -> str:
    record = target.record
    rows = [
        (
            text.clip(text.plain(summary.step_name(step)), _NAME_WIDTH),
            summary.step_platforms(step, record),
            report.state(step),
            step.how,
            text.plain(report.named(forecast.others(target, step.id))),
            text.plain(summary.step_reason(step)),
        )
        for step in report.shown(target)
    ]
    head = text.plain(report.target_line(target))
    return f"{head}\n" + tables.render(("STEP", "PLATFORMS", "RESULT", "HOW", "SHARED WITH", "WHY"), rows)
