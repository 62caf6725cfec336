"""A real browser without a window: what it makes of a page, and how the page looks."""

import os
import shutil
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

from tests.needs import missing

_NAMES = ("chromium", "google-chrome", "chromium-browser")
FLAGS = (
    "--headless",
    # The tests run as root, in containers too, where it has no sandbox; the page is ours and loads nothing.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    # Whatever it would look for besides the page is looked for nowhere.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)

Colour = tuple[int, int, int]


def program() -> str:
    """The browser's path; skips or fails the test without one."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    return found or missing("needs chromium on PATH (`make test` installs what is missing)")


def dom(page: Path, scratch: Path, *, width: int = 1000) -> str:
    """The page as the browser has it in memory, as HTML."""
    return _run(scratch, f"--window-size={width},700", "--dump-dom", page.as_uri()).decode()


def pixels(page: Path, scratch: Path, *, dark: bool, size: tuple[int, int] = (1000, 700)) -> list[list[Colour]]:
    """The page as it looks, row by row, for a reader who likes it light or dark."""
    picture = scratch / f"{'dark' if dark else 'light'}.png"
    mode = "--blink-settings=preferredColorScheme=" + ("0" if dark else "1")
    _run(scratch, mode, f"--window-size={size[0]},{size[1]}", f"--screenshot={picture}", page.as_uri())
    return decoded(picture.read_bytes())


def _run(scratch: Path, *arguments: str) -> bytes:
    command = [program(), *FLAGS, f"--user-data-dir={scratch / 'profile'}", *arguments]
    # It leaves files in TMPDIR, whose path must be short (unix(7)).
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as temporary:
        env = {**os.environ, "TMPDIR": temporary}
        return subprocess.run(command, capture_output=True, timeout=100, check=True, env=env).stdout


def decoded(raw: bytes) -> list[list[Colour]]:
    """The pixels of a PNG with 8 bits per channel and no interlacing, as browsers write it (PNG, 9.2)."""
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed, width, step = 8, b"", 0, 0
    while at < len(raw):
        size, kind = struct.unpack_from(">I4s", raw, at)
        body = raw[at + 8 : at + 8 + size]
        at += 12 + size
        if kind == b"IHDR":
            width, _, depth, colours, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            assert (depth, interlaced) == (8, 0)
            step = {2: 3, 6: 4}[colours]
        elif kind == b"IDAT":
            packed += body
    data = zlib.decompress(packed)
    rows: list[list[Colour]] = []
    before = bytearray(width * step)
    for start in range(0, len(data), width * step + 1):
        line = bytearray(data[start + 1 : start + 1 + width * step])
        _unfilter(data[start], line, before, step)
        rows.append([(line[i], line[i + 1], line[i + 2]) for i in range(0, len(line), step)])
        before = line
    return rows


def _unfilter(kind: int, line: bytearray, above: bytearray, step: int) -> None:
    for i in range(len(line)):
        left, up = line[i - step] if i >= step else 0, above[i]
        if kind == 1:
            line[i] = (line[i] + left) & 255
        elif kind == 2:
            line[i] = (line[i] + up) & 255
        elif kind == 3:
            line[i] = (line[i] + (left + up) // 2) & 255
        elif kind == 4:
            corner = above[i - step] if i >= step else 0
            guess = left + up - corner
            nearest = min((left, up, corner), key=lambda value: abs(guess - value))
            line[i] = (line[i] + nearest) & 255
