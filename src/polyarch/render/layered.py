"""A layered drawing of a graph without circles: boxes in columns, arrows from left to right, none through a box.

The steps are those of Sugiyama, Tagawa and Toda (1981): each box gets a column to the right of what it needs; an arrow
over several columns gets a lane in each; the order in the columns is improved by barycentres while arrows cross less;
then boxes move towards their neighbours as far as the order allows. The same input gives the same drawing.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import msgspec

_SWEEPS = 12
# The distances between columns, between boxes in a column, and between lanes, which are as high.
_BETWEEN, _GAP, _LANE = 72.0, 14.0, 6.0


class GraphBox(msgspec.Struct, frozen=True):
    """A box to place, and its size."""

    id: str
    width: float
    height: float


class PlacedBox(msgspec.Struct, frozen=True):
    """The place of a box: its upper left corner and its size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """The height at which arrows begin and end."""
        return self.y + self.height / 2


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """Where everything is. An arrow is straight from each even point of its route to the next, in the lane of a column,
    and crosses the space between two columns from each odd point to the next. The first point counts as odd.
    """

    boxes: Mapping[str, PlacedBox]
    routes: Mapping[tuple[str, str], tuple[tuple[float, float], ...]]
    width: float
    height: float


def layout(boxes: Sequence[GraphBox], edges: Iterable[tuple[str, str]]) -> Drawing:
    """Place the boxes. Every edge leads from a box to a later one in the sequence. Raises ValueError for another."""
    return _Layout(boxes, dict.fromkeys(edges)).drawing()


class _Slot:
    """A box, or the lane of an edge, in a column. `y` is its middle."""

    def __init__(self, box: GraphBox | None = None) -> None:
        self.box = box
        self.height = box.height if box is not None else _LANE
        self.before: list[_Slot] = []
        self.after: list[_Slot] = []
        self.order = 0
        self.y = 0.0


class _Layout:
    def __init__(self, boxes: Sequence[GraphBox], edges: Mapping[tuple[str, str], None]) -> None:
        self._places = {box.id: _Slot(box) for box in boxes}
        self._column = _columns([box.id for box in boxes], list(edges))
        count = max(self._column.values(), default=-1) + 1
        self._columns: list[list[_Slot]] = [[] for _ in range(count)]
        for box in boxes:
            self._columns[self._column[box.id]].append(self._places[box.id])
        self._lanes: dict[tuple[str, str], list[_Slot]] = {edge: self._lane(edge) for edge in edges}

    def _lane(self, edge: tuple[str, str]) -> list[_Slot]:
        """The places of an edge in the columns that it passes, which are linked to those beside them."""
        start, end = edge
        between = range(self._column[start] + 1, self._column[end])
        lanes = [_Slot() for _ in between]
        for column, lane in zip(between, lanes, strict=True):
            self._columns[column].append(lane)
        chain = [self._places[start], *lanes, self._places[end]]
        for one, next_ in pairwise(chain):
            one.after.append(next_)
            next_.before.append(one)
        return lanes

    def drawing(self) -> Drawing:
        self._arrange()
        self._settle()
        found: dict[str, PlacedBox] = {}
        left, edges = 0.0, list[tuple[float, float]]()
        for column in self._columns:
            width = max((place.box.width for place in column if place.box), default=0.0)
            edges.append((left, left + width))
            for place in column:
                if place.box is not None:
                    top = round(place.y - place.height / 2, 1)
                    found[place.box.id] = PlacedBox(left, top, width, place.box.height)
            left += width + _BETWEEN
        routes = {edge: self._route(edge, found, edges) for edge in self._lanes}
        bottom = max((place.y + place.height / 2 for column in self._columns for place in column), default=0.0)
        return Drawing(boxes=found, routes=routes, width=max(0.0, left - _BETWEEN), height=round(bottom, 1))

    def _route(
        self, edge: tuple[str, str], boxes: Mapping[str, PlacedBox], columns: Sequence[tuple[float, float]]
    ) -> tuple[tuple[float, float], ...]:
        start, end = boxes[edge[0]], boxes[edge[1]]
        points = [(start.x + start.width, start.middle)]
        for number, lane in enumerate(self._lanes[edge], self._column[edge[0]] + 1):
            points += [(x, round(lane.y, 1)) for x in columns[number]]
        return (*points, (end.x, end.middle))

    def _arrange(self) -> None:
        """Order what is in each column, so that few edges cross."""
        self._number()
        best = [list(column) for column in self._columns]
        fewest = self._crossings()
        for sweep in range(_SWEEPS):
            right = sweep % 2 == 0
            for column in self._columns if right else reversed(self._columns):
                keys = {id(place): _mean(place.before if right else place.after, place.order) for place in column}
                column.sort(key=lambda place: keys[id(place)])
                for order, place in enumerate(column):
                    place.order = order
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(column) for column in self._columns], crossings
        self._columns = best
        self._number()

    def _number(self) -> None:
        for column in self._columns:
            for order, place in enumerate(column):
                place.order = order

    def _crossings(self) -> int:
        count = 0
        for column in self._columns:
            ends: list[int] = []
            for place in column:
                following = sorted(next_.order for next_ in place.after)
                count += sum(len(ends) - bisect_right(ends, end) for end in following)
                for end in following:
                    insort(ends, end)
        return count

    def _settle(self) -> None:
        """Move everything towards its neighbours, in the order of its column and without touching."""
        for column in self._columns:
            self._separate(column, [0.0] * len(column))
        for sweep in range(_SWEEPS):
            right = sweep % 2 == 0
            for column in self._columns if right else reversed(self._columns):
                wanted = [_near(place.before if right else place.after, place.y) for place in column]
                self._separate(column, wanted)
        top = min((place.y - place.height / 2 for column in self._columns for place in column), default=0.0)
        for column in self._columns:
            for place in column:
                place.y -= top

    def _separate(self, column: Sequence[_Slot], wanted: Sequence[float]) -> None:
        """Set the heights that are nearest to those wanted, by least squares: pool adjacent violators."""
        offsets, offset = [], 0.0
        for place, next_ in pairwise(column):
            offsets.append(offset)
            gap = _GAP if place.box is not None or next_.box is not None else _LANE
            offset += (place.height + next_.height) / 2 + gap
        offsets.append(offset)
        pools: list[tuple[float, int]] = []  # the sum of what is wanted, and how many places
        for want, below in zip(wanted, offsets, strict=False):
            total, count = want - below, 1
            while pools and pools[-1][0] / pools[-1][1] >= total / count:
                total, count = total + pools[-1][0], count + pools.pop()[1]
            pools.append((total, count))
        heights = [total / count for total, count in pools for _ in range(count)]
        for place, height, below in zip(column, heights, offsets, strict=False):
            place.y = height + below


def _columns(ids: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The column of each box: after all that it needs. What needs nothing is beside what needs it, and what nothing
    needs is in the last column.
    """
    numbers = {one: number for number, one in enumerate(ids)}
    before: dict[str, list[str]] = {one: [] for one in ids}
    after: dict[str, list[str]] = {one: [] for one in ids}
    for start, end in edges:
        if numbers[start] >= numbers[end]:
            raise ValueError(f"the edge from {start} to {end} leads back")
        before[end].append(start)
        after[start].append(end)
    found: dict[str, int] = {}
    for one in ids:
        found[one] = 1 + max((found[needed] for needed in before[one]), default=-1)
    last = max(found.values(), default=0)
    for one in ids:
        if before[one] and not after[one]:
            found[one] = last
        elif after[one] and not before[one]:
            found[one] = min(found[user] for user in after[one]) - 1
    return found


def _mean(places: Sequence[_Slot], otherwise: float) -> float:
    return sum(place.order for place in places) / len(places) if places else otherwise


def _near(places: Sequence[_Slot], otherwise: float) -> float:
    return sum(place.y for place in places) / len(places) if places else otherwise
