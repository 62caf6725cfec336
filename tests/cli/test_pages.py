"""The pages that are written for people who would rather look, as a real browser shows them, light and dark."""

import html
from pathlib import Path

import pytest

from polyarch.cli.drift import render_page
from polyarch.images.compare.drift import Drift
from polyarch.images.compare.rows import Row
from polyarch.oci import platform as platforms
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
        assert browser._png(raw) == plain
