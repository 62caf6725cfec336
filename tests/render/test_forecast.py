"""The picture and the page of a bake that was not done: texts are escaped, and a browser shows them light and dark."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyarch.builder import BuildRecord, StepRecord
from polyarch.builder.forecast import report
from polyarch.builder.forecast.values import Forecast, ForecastEdge, ForecastNode, ForecastStep, TargetForecast
from polyarch.render.forecast_graph import render_graph
from polyarch.render.forecast_page import render_page
from polyarch.render.forecast_text import render_text
from tests import browser

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</text><script>alert(1)</script>\"'&]]><!--\x1b[31m\x00\ufffe\ud800-->"
PAPER = {False: (255, 255, 255), True: (14, 17, 22)}
SHARED = {False: (130, 80, 223), True: (180, 140, 255)}
TO_DO = {False: (154, 91, 0), True: (227, 179, 65)}


def forecast(names: tuple[str, str] = ("app", "worker"), stage: str = "builder") -> Forecast:
    """Two targets that share a stage."""
    platforms = ("linux/amd64", "linux/arm64")
    steps = (ForecastStep(names, "cached", True), ForecastStep(names[1:], "to do", True))
    shared = StepRecord(id="1", name=f"[{stage} 1/1] RUN make", platforms=platforms, kind="Run", cached=True)
    own = StepRecord(id="2", name="[2/2] COPY", platforms=platforms, kind="Copy", reasons=(f"changed: {stage}",))

    def record(*found: StepRecord) -> BuildRecord:
        return BuildRecord(
            names=(),
            context=".",
            dockerfile="Dockerfile",
            target="",
            platforms=platforms,
            begun=0,
            seconds=0,
            steps=found,
        )

    return Forecast(
        targets=(
            TargetForecast(name=names[0], record=record(shared), work={"1": 0}, stages={"1": stage}),
            TargetForecast(name=names[1], record=record(shared, own), work={"1": 0, "2": 1}, stages={"1": stage}),
        ),
        steps=steps,
        nodes=(
            ForecastNode(id="n0", kind="context", name=f"src/{stage}", targets=names),
            ForecastNode(id="n1", kind="stage", name=stage, targets=names, platforms=platforms, work=(0,)),
            ForecastNode(id="n2", kind="target", name=names[0], targets=names[:1], platforms=platforms, note=stage),
            ForecastNode(id="n3", kind="stage", name="last", targets=names[1:], platforms=platforms, work=(0, 1)),
            ForecastNode(id="n4", kind="target", name=names[1], targets=names[1:], platforms=platforms),
        ),
        edges=(
            ForecastEdge("n0", "n1", "COPY"),
            ForecastEdge("n1", "n2", "result"),
            ForecastEdge("n1", "n3", "FROM"),
            ForecastEdge("n3", "n4", "result"),
        ),
    )


def test_a_table_names_a_few_targets_and_counts_the_others() -> None:
    assert report.named(("a", "b", "c", "d")) == "a, b, c, d"
    assert report.named(("a", "b", "c", "d", "e", "f")) == "a, b, c, d and 2 more"


def groups(svg: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(svg.partition("\n")[2])
    return [group for group in root.iter(f"{SVG}g") if group.get("role")]


def test_a_box_says_what_it_is_what_is_to_do_and_who_shares_it() -> None:
    found = {group.findtext(f"{SVG}title"): group for group in groups(render_graph(forecast()))}
    assert list(found) == [
        "context src/builder; shared by app, worker",
        "stage builder; cached; linux/amd64, linux/arm64; shared by app, worker",
        "target app; linux/amd64, linux/arm64; builder",
        "stage last; 1 of 2 to do; linux/amd64, linux/arm64",
        "target worker; linux/amd64, linux/arm64",
    ]
    stage = found["stage builder; cached; linux/amd64, linux/arm64; shared by app, worker"]
    assert stage.get("class") == "stage shared cached"
    assert [text.text for text in stage.iter(f"{SVG}text")] == [
        "stage",
        "builder",
        "1 step: cached",
        "linux/amd64, linux/arm64",
        "shared by 2: app, worker",
    ]
    last = found["stage last; 1 of 2 to do; linux/amd64, linux/arm64"]
    assert "1 of 2 steps shared" in [text.text for text in last.iter(f"{SVG}text")]


def test_the_picture_needs_nothing_else_and_is_described_for_screen_readers() -> None:
    svg = render_graph(forecast())
    root = ElementTree.fromstring(svg.partition("\n")[2])
    assert root.get("role") == "graphics-document document"
    ids = {element.get("id"): element for element in root.iter() if element.get("id")}
    labels = str(root.get("aria-labelledby")).split()
    assert [ids[label].tag for label in labels] == [f"{SVG}title", f"{SVG}desc"]
    assert "2 targets, 2 steps: 1 to do, 1 cached." in str(ids["graph-about"].text)
    assert all(group.get("aria-label") == group.findtext(f"{SVG}title") for group in groups(svg))
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|<script|<image|<use|<foreignObject|@import|href", svg)
    arrows = [path.findtext(f"{SVG}title") for path in root.iter(f"{SVG}path") if path.get("marker-end")]
    assert arrows == [
        "COPY: src/builder → builder",
        "result: builder → app",
        "FROM: builder → last",
        "result: last → worker",
    ]
    assert render_graph(forecast()) == svg


@settings(deadline=None, max_examples=60)
@given(st.one_of(st.text(min_size=1), st.just(HOSTILE), st.text("<>&\"']!-/ \x00\x1b\ufffe\ud800", min_size=1)))
def test_no_name_becomes_markup(name: str) -> None:
    plain = groups(render_graph(forecast()))
    found = groups(render_graph(forecast((name, f"{name}2"), name)))
    assert [group.get("class") for group in found] == [group.get("class") for group in plain]
    tags = [[element.tag for element in group.iter()] for group in found]
    assert {tag for each in tags for tag in each} <= {f"{SVG}{tag}" for tag in ("g", "title", "rect", "text")}
    page = render_page(forecast((name, f"{name}2"), name))
    assert page.count("<script") == 0
    assert page.count("<svg") == page.count("</svg>") == 1
    assert "\x1b" not in render_text(forecast((name, f"{name}2"), name))


@pytest.mark.integration
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_browser_shows_the_picture_light_or_dark_as_its_reader_likes(tmp_path: Path, dark: bool) -> None:
    file = tmp_path / "graph.svg"
    file.write_text(render_graph(forecast()), encoding="utf-8")
    rows = browser.pixels(file, tmp_path, dark=dark)
    assert rows[0][0] == PAPER[dark]
    seen = {colour for row in rows for colour in row}
    assert SHARED[dark] in seen, "what is shared stands out"
    assert TO_DO[dark] in seen


# Writes into each box how many of its texts can be selected, and how many are wider than the box.
_SELECT = """<script>for (const box of document.querySelectorAll("svg g[role]")) {
  const wide = box.querySelector(".box").getBBox();
  const texts = [...box.querySelectorAll("text")];
  box.dataset.outside = texts.filter(text => {
    const at = text.getBBox();
    return at.x < wide.x || at.x + at.width > wide.x + wide.width
      || at.y < wide.y || at.y + at.height > wide.y + wide.height;
  }).length;
  getSelection().removeAllRanges();
  const range = document.createRange(); range.selectNodeContents(texts[1]); getSelection().addRange(range);
  box.dataset.selected = getSelection().toString();
}</script>"""


@pytest.mark.integration
def test_in_a_page_texts_are_inside_of_their_boxes_and_can_be_selected(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    wide = "名" * 30
    open_to_scripts = re.sub(r"<meta http-equiv[^>]*>", "", render_page(forecast((wide, HOSTILE))))
    file.write_text(open_to_scripts.replace("</body>", f"{_SELECT}</body>"), encoding="utf-8")
    shown = browser.dom(file, tmp_path)
    assert re.findall(r'data-outside="(\d+)"', shown) == ["0"] * 5
    selected = re.findall(r'data-selected="([^"]*)"', shown)
    assert selected[1] == "builder"
    assert selected[2].startswith("名" * 10)
    assert shown.count("<script") == 1
