"""The pages that are written for people who would rather look, as a real browser shows them, light and dark."""

import html
import re
from pathlib import Path
from typing import Any

import pytest

from polyarch.builder import BuildRecord, StepRecord
from polyarch.builder.history.record import StepRun
from polyarch.cli.commands.drift import render_page
from polyarch.images.compare.drift import Drift
from polyarch.images.compare.rows import Row
from polyarch.oci import platform as platforms
from polyarch.render.build_page import render_page as explain_render
from tests import browser

pytestmark = pytest.mark.integration

PAPER = {False: (255, 255, 255), True: (14, 17, 22)}
MISSING = {False: (180, 35, 24), True: (255, 138, 128)}
NAME = '/srv/<script>document.title="no"</script>'


def drift_page() -> str:
    rows = [
        Row(kind="file", name=NAME, values=("file", None)),
        Row(kind="env", name="GREETING", values=("hello", "moin & 'tach'")),
    ]
    both = (platforms.parse("linux/amd64"), platforms.parse("linux/arm64"))
    return render_page(Drift(name="app:1", platforms=both, rows=tuple(rows), unread=("linux/arm64: not read",)))


def explain_page() -> str:
    both = ("linux/amd64", "linux/arm64")
    name = '[1/1] RUN <img src=x> "make"'

    def step(
        number: int, name: str, platforms: tuple[str, ...], begun: float, seconds: float, **more: Any
    ) -> StepRecord:
        return StepRecord(
            id=str(number), name=name, platforms=platforms, kind="Run", begun=begun, seconds=seconds, **more
        )

    steps = (
        step(0, "[one 1/1] RUN fetch", both, 0.0, 1.0, ran=StepRun(how="native")),
        step(
            1,
            name,
            both[:1],
            1.0,
            1.0,
            ran=StepRun(how="native", member="one", sent=0.4),
            reasons=("files changed: <a>",),
        ),
        step(
            2,
            name,
            both[1:],
            1.0,
            7.0,
            ran=StepRun(how="emulated", native_seconds=0.7, basis="the same command ran natively"),
        ),
        step(3, "[2/2] RUN true", both[1:], 8.0, 0.2, ran=StepRun(how="emulated"), error="exit code: 1"),
    )
    record = BuildRecord(
        names=("docker.io/library/app:1",),
        context="/srv/app",
        dockerfile="Dockerfile",
        target="",
        platforms=both,
        begun=0.0,
        seconds=8.2,
        steps=steps,
    )
    return explain_render(record, planned=False)


def luminance(colour: browser.Colour) -> float:
    """The relative luminance of WCAG 2."""
    parts = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: browser.Colour, other: browser.Colour) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_drift_page_is_light_or_dark_as_its_reader_likes_and_can_be_read(tmp_path: Path, dark: bool) -> None:
    page = tmp_path / "page.html"
    page.write_text(drift_page())
    rows = browser.pixels(page, tmp_path, dark=dark)
    assert rows[0][0] == rows[-1][-1] == PAPER[dark]
    seen = {colour for row in rows for colour in row}
    assert MISSING[dark] in seen, "the matrix shows what is missing"
    assert contrast(PAPER[dark], MISSING[dark]) > 4.5  # WCAG 2, 1.4.3
    darkest, lightest = min(seen, key=luminance), max(seen, key=luminance)
    assert contrast(darkest, lightest) > 12, "there is text that stands out"


def test_the_drift_page_has_its_matrix_and_runs_nothing_of_an_images_words(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(drift_page())
    shown = browser.dom(page, tmp_path)
    assert "<title>Drift of app:1</title>" in shown
    assert html.escape(NAME, quote=False) in shown
    assert "<script" not in shown
    assert shown.count("<table") == 2
    assert "linux/arm64: not read" in shown


NATIVE = {False: (47, 111, 235), True: (91, 147, 255)}
EMULATED = {False: (130, 80, 223), True: (180, 140, 255)}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_time_line_shows_emulated_work_longer_and_in_a_lane_of_its_own(tmp_path: Path, dark: bool) -> None:
    page = tmp_path / "page.html"
    page.write_text(explain_page())
    rows = browser.pixels(page, tmp_path, dark=dark)
    assert rows[0][0] == PAPER[dark]
    widest = {
        kind: max(row.count(colour) for row in rows) for kind, colour in (("n", NATIVE[dark]), ("e", EMULATED[dark]))
    }
    assert widest["e"] > 5 * widest["n"] > 0, "7 s is drawn longer than 1 s"
    first = {
        name: next(y for y, row in enumerate(rows) if row.count(colour) > 50)
        for name, colour in (("native", NATIVE[dark]), ("emulated", EMULATED[dark]))
    }
    assert first["native"] < first["emulated"]
    assert contrast(PAPER[dark], NATIVE[dark]) > 3  # WCAG 2, 1.4.11
    assert contrast(PAPER[dark], EMULATED[dark]) > 3
    assert any(MISSING[dark] in row for row in rows), "a step that failed stands out"


def test_the_time_line_has_a_lane_for_each_platform_and_says_all_in_words_too(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(explain_page())
    shown = browser.dom(page, tmp_path)
    assert re.findall(r'<div class="lane"><b>([^<]*)</b>', shown) == ["shared", "linux/amd64", "linux/arm64"]
    assert shown.count('class="bar') == 4
    assert "<img" not in shown
    assert "files changed: &lt;a&gt;" in shown
    assert "all, once" in shown
    assert "took 7.0 s under emulation" in shown


# Writes into each cell in how many lines the browser set it.
_LINES = """<script>for (const cell of document.querySelectorAll("td")) {
  const range = document.createRange(); range.selectNodeContents(cell);
  cell.dataset.lines = new Set([...range.getClientRects()].map(box => box.top)).size;
}</script>"""


def test_a_narrow_window_breaks_no_word_of_the_narrow_columns(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    open_to_scripts = re.sub(r"<meta http-equiv[^>]*>", "", explain_page())
    page.write_text(open_to_scripts.replace("</body>", f"{_LINES}</body>"))
    shown = browser.dom(page, tmp_path, width=500)
    found = dict(re.findall(r'data-lines="(\d+)">(linux/arm64|native|emulated)<', shown))
    assert found == {"1": "emulated"}
    assert re.search(r'class="text" data-lines="[2-9]"', shown), "the window is narrow"


def test_the_picture_reader_reads_every_filter() -> None:
    """A page that is all one colour would pass for the wrong reasons, so the reader itself is tried."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    plain = [[(10, 20, 30), (11, 22, 33)], [(9, 21, 30), (12, 20, 31)]]
    for filter_ in range(5):
        lines, above = b"", bytes(6)
        for row in plain:
            line = bytes(value for colour in row for value in colour)
            coded = bytearray()
            for i, value in enumerate(line):
                left, up, corner = (line[i - 3] if i > 2 else 0), above[i], (above[i - 3] if i > 2 else 0)
                paeth = min((left, up, corner), key=lambda one: abs(left + up - corner - one))
                coded.append((value - (0, left, up, (left + up) // 2, paeth)[filter_]) & 255)
            lines += bytes([filter_]) + coded
            above = line
        header = struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0)
        raw = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
        assert browser.decoded(raw) == plain
