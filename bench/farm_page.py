"""The page and the picture of `bench/farm.py`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tests.farm import distant

_WIDTH, _HEIGHT = 720, 380


def picture(figures: Mapping[str, Any]) -> str:
    """The curves as SVG: seconds on a logarithmic scale, by the number of members."""
    left, right, top, bottom = 70, 20, 20, 50
    low, high = -6.0, -1.0
    members = sorted(map(int, figures["placement"]))

    def x(count: float) -> float:
        return left + (_WIDTH - left - right) * count / members[-1]

    def y(seconds: float) -> float:
        return top + (_HEIGHT - top - bottom) * (high - math.log10(seconds)) / (high - low)

    def line(points: Sequence[tuple[float, float]], colour: str, dash: str = "") -> str:
        drawn = " ".join(f"{x(count):.1f},{y(seconds):.1f}" for count, seconds in points)
        return f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'

    def word(count: float, seconds: float, text: str, colour: str = "#555", anchor: str = "start") -> str:
        place = f'x="{x(count):.1f}" y="{y(seconds) - 6:.1f}" text-anchor="{anchor}"'
        return f'<text {place} fill="{colour}">{text}</text>'

    placed = {int(count): seconds for count, seconds in figures["placement"].items()}
    tasks = {int(count): seconds for count, seconds in figures["dask"].items()}
    slowest = max(tasks.values())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"',
        ' font-family="sans-serif" font-size="12" aria-label="Seconds a step by the number of members">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
    ]
    for power, name in ((-6, "1 µs"), (-5, "10 µs"), (-4, "100 µs"), (-3, "1 ms"), (-2, "10 ms"), (-1, "100 ms")):
        level = y(10.0**power)
        parts.append(f'<path d="M{left} {level:.1f}H{_WIDTH - right}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{level + 4:.1f}" text-anchor="end" fill="#555">{name}</text>')
    parts += [
        f'<text x="{x(count):.1f}" y="{_HEIGHT - bottom + 18}" text-anchor="middle" fill="#555">{count}</text>'
        for count in (0, 100, 200, 300, 400, 500)
    ]
    parts.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 10}" text-anchor="middle" fill="#555">members</text>')
    dashed = ' stroke-dasharray="6 4"'
    parts += [
        line([(count, seconds["mean"]) for count, seconds in placed.items()], "#1f6feb"),
        line([(count, seconds["rare"]) for count, seconds in placed.items()], "#8ab4f8"),
        line([(0, 1e-3), (500, 1e-3)], "#888", dashed),
        line(list(tasks.items()), "#c93c37"),
        line([(max(tasks), slowest), (500, slowest)], "#c93c37", dashed),
        word(500, placed[500]["mean"], "placing a step, mean", "#1f6feb", "end"),
        word(500, placed[500]["rare"], "one in a thousand", "#5a8de0", "end"),
        word(500, 1e-3, "the limit: 1 ms", "#888", "end"),
        word(500, slowest, f"Dask, a task of nothing (measured with 1 to {max(tasks)} processes)", "#c93c37", "end"),
        "</svg>\n",
    ]
    return "\n".join(parts)


def page(figures: Mapping[str, Any]) -> str:
    """The page about these figures."""
    placed = "\n".join(
        f"| {count} | {seconds['mean'] * 1e6:.0f} µs | {seconds['rare'] * 1e6:.0f} µs |"
        for count, seconds in figures["placement"].items()
    )
    tasks = "\n".join(f"| {count} | {seconds * 1e3:.1f} ms |" for count, seconds in figures["dask"].items())
    members = list(figures["placement"])
    rows = "\n".join(
        f"| {name} | {run['member'] * 1e3:.0f} ms | {run['here'] * 1e3:.0f} ms "
        f"| {round((run['member'] - run['here']) * 1e3)} ms |"
        for name, run in (
            ("right after another RUN", figures["run"]["chain"]),
            ("after a COPY", figures["run"]["alone"]),
        )
    )
    far = figures["distant"]
    load = figures["load"]
    return f"""# How a farm grows

Written by `python -m bench.farm --page … --picture …` (`make farm-scale`), on {figures["machine"]}. Other work
ran on them: the load was {load["placement"]} for placement, {load["dask"]} for Dask, {load["run"]} for a RUN of
nothing, and {load["distant"]} for distant members.

![Seconds a step by the number of members](../pictures/farm-scale.svg)

## Placing a step
A simulation of 10,000 steps for 8 platforms, in 80 chains of layers, on farms of up to {members[-1]} members,
nine of ten busy; with what the scheduler says of all members after every 200 steps. In time of a processor; the
promise is 1 ms a step.

| members | mean | one in a thousand takes longer than |
| --- | --- | --- |
{placed}

The rare long ones are those with the news of the scheduler, of all members at once.

## Dask's part
A task of nothing, one after the other, over TLS on loopback: submitted, run in a worker process, its result
fetched.

| worker processes | a task |
| --- | --- |
{tasks}

The scheduler is asked for all members once a second, and less often the longer that takes: a tenth of the time
at most. Steps that come right after one another are one task.

## A RUN of nothing
`RUN ["/bin/true"]`, by the best of four builds with one and the best of four with 21, on a member on loopback and
without a farm. The promise is 60 ms more on a member.

| | on a member | without a farm | more |
| --- | --- | --- | --- |
{rows}

The time of the COPY is in both numbers of its row. What a member costs is Dask's part, packing the layer and its
way back, and its verification; its connection to the build is kept. Right after another RUN there is no task, and
packing and sending happen while the next step runs.

## Distant members
{far["members"]} members, each for one platform ({", ".join(f"`{name}`" for name in far["platforms"])}), and
each in a network namespace of its own. All its connections, to the scheduler and to the build, go through a
proxy that delays every byte by {far["delay"] * 1e3:.0f} ms in both directions, and a new connection by a round
trip more. The build has {far["length"]} times `RUN ["sleep", "0.5"]` for each platform. All but two platforms are
emulated, on the same two processors as everything else.

| | seconds |
| --- | --- |
| the build, from its start to its end | {far["seconds"]:.1f} |
| the longest chain, {far["length"]} times 0.5 s of sleep | {far["least"]:.1f} |
| the limit: {distant.LIMIT} times that | {distant.LIMIT * far["least"]:.1f} |
| the processes of the slowest platform, one after the other, with their starts | {far["chain"]:.1f} |
| from the start to the first step that has begun | {far["first"]:.1f} |
| processors, by all parts together | {far["processor"]:.1f} |
| of these, by the proxies | {far["proxies"]:.1f} |

The build took {far["seconds"] / far["least"]:.2f} times the longest chain, and {far["seconds"] / far["chain"]:.2f}
times what its processes took: under emulation, a process starts slowly. Two processors had
{2 * far["seconds"]:.1f} s, of which the farm used {far["processor"] / far["seconds"] / 2:.0%}; other
work had the rest, or none.
"""
