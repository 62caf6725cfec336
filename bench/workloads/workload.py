"""What a workload is, and how its numbers are judged."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from bench.measure import Contestant, Results, median, ratio


class Figure(NamedTuple):
    """A number that follows from the times. `target` None: nothing was promised."""

    what: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target


class Workload(NamedTuple):
    """Who does what, and what is to come of it.

    `limit` is the floor in seconds; `times` multiplies the runs; `most` bounds them, for what takes minutes.
    """

    contestants: Sequence[Contestant]
    figures: Callable[[Results], Sequence[Figure]]
    limit: float | None = None
    times: int = 1
    most: int | None = None


def versus(
    beats: Mapping[str, float], *, within: float | None = None, subject: str = "polyarch"
) -> Callable[[Results], list[Figure]]:
    """The ratio to each peer that took part, with what was promised (`beats`), and the seconds (`within`)."""

    def figures(results: Results) -> list[Figure]:
        ours = results[subject]
        found = [
            Figure(f"{name} / {subject}", ratio(ours, theirs), "x", beats.get(name), True)
            for name, theirs in results.items()
            if name != subject
        ]
        if within is not None:
            found.append(Figure(f"{subject}, whole", median(ours).wall, "s", within))
        return found

    return figures


def nothing(run: int) -> None:
    """What there is to prepare where nothing is."""
