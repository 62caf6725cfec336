"""Layered drawings: nothing overlaps, no arrow passes through a box, and few cross."""

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyarch.render.layered import Drawing, GraphBox, PlacedBox, layout


@st.composite
def graphs(draw: st.DrawFn, most: int = 24) -> tuple[list[GraphBox], list[tuple[str, str]]]:
    """Boxes of several sizes, and edges to later ones."""
    count = draw(st.integers(1, most))
    sizes = st.tuples(st.integers(10, 300), st.integers(20, 140))
    boxes = [GraphBox(f"b{number}", *draw(sizes)) for number in range(count)]
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda pair: pair[0] < pair[1])
    edges = draw(st.lists(pairs, max_size=3 * count)) if count > 1 else []
    return boxes, [(f"b{start}", f"b{end}") for start, end in edges]


def overlap(one: PlacedBox, other: PlacedBox) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


def check(drawing: Drawing) -> None:
    boxes = list(drawing.boxes.values())
    for number, box in enumerate(boxes):
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.width <= drawing.width + 0.1
        assert box.y + box.height <= drawing.height + 0.1
        assert not any(overlap(box, other) for other in boxes[:number])
    columns = sorted({(box.x, box.x + box.width) for box in boxes})
    for (start, end), route in drawing.routes.items():
        first, last = drawing.boxes[start], drawing.boxes[end]
        assert route[0] == (first.x + first.width, first.middle)
        assert route[-1] == (last.x, last.middle)
        for number, ((x, y), (next_x, next_y)) in enumerate(pairwise(route)):
            if number % 2:
                # Straight through the lane of a column: no box is there.
                assert y == next_y
                beside = [box for box in boxes if x <= box.x + box.width and box.x <= next_x]
                assert not any(box.y <= y <= box.y + box.height for box in beside)
            else:
                # A curve between two columns: no column is there.
                assert x < next_x
                assert not any(left < next_x and x < right for left, right in columns)


@settings(deadline=None)
@given(graphs())
def test_boxes_do_not_overlap_and_arrows_pass_between_them(graph: tuple[list[GraphBox], list[tuple[str, str]]]) -> None:
    boxes, edges = graph
    drawing = layout(boxes, edges)
    assert set(drawing.boxes) == {box.id for box in boxes}
    assert set(drawing.routes) == set(edges)
    check(drawing)
    assert layout(boxes, edges) == drawing


def test_what_is_needed_is_to_the_left_and_results_are_in_the_last_column() -> None:
    boxes = [GraphBox(name, 50, 20) for name in ("image", "context", "builder", "late", "short", "long")]
    edges = [("image", "builder"), ("builder", "late"), ("context", "late"), ("late", "long"), ("builder", "short")]
    drawing = layout(boxes, edges)
    x = {name: box.x for name, box in drawing.boxes.items()}
    assert x["image"] < x["builder"] < x["late"] < x["long"]
    assert x["short"] == x["long"]
    assert x["context"] == x["builder"], "a source is beside what needs it"


def test_arrows_that_need_not_cross_do_not_cross() -> None:
    boxes = [GraphBox(f"a{number}", 50, 20) for number in range(6)] + [
        GraphBox(f"z{number}", 50, 20) for number in range(6)
    ]
    drawing = layout(boxes, [(f"a{number}", f"z{5 - number}") for number in range(6)])
    order = [sorted(range(6), key=lambda n: drawing.boxes[f"{side}{n}"].y) for side in "az"]
    assert order[0] == [5 - number for number in order[1]]


def test_forty_targets_with_shared_stages_are_drawn_in_a_moment() -> None:
    boxes = [GraphBox("image", 120, 60), GraphBox("context", 120, 60), GraphBox("builder", 120, 100)]
    edges = [("image", "builder"), ("context", "builder")]
    for number in range(40):
        boxes += [GraphBox(f"s{number}-{step}", 150, 80) for step in range(4)] + [GraphBox(f"t{number}", 150, 80)]
        edges += [("builder", f"s{number}-{step}") for step in range(4)] + [("context", f"s{number}-3")]
        edges += [(f"s{number}-{step}", f"s{number}-{step + 1}") for step in range(3)]
        edges.append((f"s{number}-3", f"t{number}"))
    begun = time.process_time()
    check(layout(boxes, edges))
    assert time.process_time() - begun < 10


def test_an_edge_that_leads_back_is_refused() -> None:
    with pytest.raises(ValueError, match="leads back"):
        layout([GraphBox("a", 1, 1), GraphBox("b", 1, 1)], [("b", "a")])


def test_nothing_is_drawn_as_nothing() -> None:
    assert layout([], []) == Drawing(boxes={}, routes={}, width=0.0, height=0.0)
