"""A forecast for people and programs: totals, what is shared, and a JSON document. Layout belongs to `render`."""

from collections.abc import Sequence
from typing import Any

from polyarch.builder.forecast.values import Forecast, ForecastNode, TargetForecast
from polyarch.builder.history import summary
from polyarch.builder.history.record import StepRecord

_WORDS = {"image": "base image"}
_NAMED = 4


def headline(forecast: Forecast) -> str:
    """The totals in one sentence. Work that targets share is counted once."""
    count = _totals(forecast)
    targets = f"{len(forecast.targets)} target{'s' if len(forecast.targets) != 1 else ''}"
    steps = f"{count['total']} step{'s' if count['total'] != 1 else ''}"
    states = f"{count['to_do']} to do, {count['cached']} cached"
    unneeded = f", {count['not_needed']} not needed" if count["not_needed"] else ""
    shared = f" {count['shared']} of the steps are shared by targets and done once." if count["shared"] else ""
    return f"{targets}, {steps}: {states}{unneeded}.{shared}"


def target_line(target: TargetForecast) -> str:
    """What a target is, in one line."""
    record = target.record
    stage = f", stage {record.target}" if record.target else ""
    after = f", after {', '.join(target.contexts)}" if target.contexts else ""
    only = ", only a context of others" if target.linked else ""
    return f"{target.name} for {', '.join(record.platforms)}{stage}{after}{only}"


def named(targets: Sequence[str]) -> str:
    """The names of targets: the first few, and how many more there are."""
    more = f" and {len(targets) - _NAMED} more" if len(targets) > _NAMED else ""
    return ", ".join(targets[:_NAMED]) + more


def shared_nodes(forecast: Forecast) -> list[ForecastNode]:
    """The stages, contexts, images, downloads and targets that several targets need."""
    return [node for node in forecast.nodes if node.is_shared]


def kind_of(node: ForecastNode) -> str:
    """What a node is, in words."""
    return _WORDS.get(node.kind, node.kind)


def state_of(forecast: Forecast, node: ForecastNode) -> str:
    """How much of a node is cached; empty for one without steps."""
    count = len(node.work)
    parts = [(state, forecast.count(node, state)) for state in ("to do", "cached", "not needed")]
    found = [(state, number) for state, number in parts if number]
    if len(found) == 1:
        return found[0][0]
    return ", ".join(f"{number} of {count} {state}" for state, number in found[:1])


def partly_shared(forecast: Forecast, node: ForecastNode) -> int:
    """How many steps of a stage that only one target has are shared with stages of other targets."""
    return 0 if node.is_shared else sum(len(forecast.steps[number].targets) > 1 for number in node.work)


def shown(target: TargetForecast) -> list[StepRecord]:
    """The steps of a target to show, those that are not needed among them."""
    reached = {step.id for step in summary.shown_steps(target.record)}
    return [step for step in target.record.steps if step.id in reached or step.id in target.stages]


def state(step: StepRecord) -> str:
    """Whether a step is cached, to do, or not needed because what follows it is cached."""
    return "not needed" if not step.cached and not step.done else summary.step_state(step, planned=True)


def document(forecast: Forecast) -> dict[str, Any]:
    """The forecast as `--format json` prints it: plain JSON values."""
    names = {node.id: {"kind": node.kind, "name": node.name} for node in forecast.nodes}
    needs: dict[str, list[dict[str, str]]] = {node.id: [] for node in forecast.nodes}
    for edge in forecast.edges:
        needs[edge.end].append({"how": edge.kind, **names[edge.start]})
    return {
        "steps": _totals(forecast),
        "targets": [_target(forecast, target) for target in forecast.targets],
        "parts": [
            {
                **names[node.id],
                "targets": list(node.targets),
                "shared": node.is_shared,
                "platforms": list(node.platforms),
                "steps": len(node.work),
                "cached": forecast.count(node, "cached"),
                "to_do": forecast.count(node, "to do"),
                "needs": needs[node.id],
            }
            for node in forecast.nodes
        ],
    }


def _target(forecast: Forecast, target: TargetForecast) -> dict[str, Any]:
    found = summary.document(target.record)
    for step, fields in zip(target.record.steps, found["steps"], strict=True):
        fields |= {"stage": target.stages.get(step.id, ""), "shared": list(forecast.others(target, step.id))}
        fields["state"] = state(step)
        for past in ("done", "begun", "seconds", "waited"):
            fields.pop(past, None)
    for unknown in ("names", "begun", "seconds"):
        del found[unknown]
    stage = found.pop("target")
    return {
        "name": target.name,
        "tags": list(target.tags),
        "contexts": list(target.contexts),
        "linked": target.linked,
        "stage": stage,
        **found,
    }


def _totals(forecast: Forecast) -> dict[str, int]:
    counted = [step for step in forecast.steps if step.counted]
    return {
        "total": len(counted),
        "to_do": sum(step.state == "to do" for step in counted),
        "cached": sum(step.state == "cached" for step in counted),
        "not_needed": sum(step.state == "not needed" for step in counted),
        "shared": sum(len(step.targets) > 1 for step in counted),
    }
