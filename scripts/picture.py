"""`make picture`: what a terminal shows, drawn as SVG into docs/pictures for the README.

A real shell runs in tmux and the commands are typed into it; what is drawn is the screen that tmux then reports, with
its colours. Nothing is retouched.
"""

import os
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

from scripts import busybox
from scripts.demo import polyarch

_REPOSITORY = Path(__file__).resolve().parent.parent
_SECONDS = 90.0
_COLUMNS, _LINES = 100, 60

# name of the picture → what is typed
PICTURES: Mapping[str, Sequence[str]] = {
    "build": (
        "polyarch build --platform linux/amd64,linux/arm64 -t hello examples/hello",
        "polyarch images hello",
        "polyarch run --rm --platform linux/arm64 hello",
    ),
}

_CELL, _LINE, _FONT, _MARGIN = 8.4, 19, 14, 16
_PAPER, _INK = "#16191f", "#d5d9e0"
_PALETTE = (
    "#3b4048 #e06c75 #98c379 #e5c07b #61afef #c678dd #56b6c2 #abb2bf "
    "#5c6370 #ef8b92 #b2d89a #f0d399 #85c5f7 #d699e6 #7bd0da #ffffff"
).split()


class Style(NamedTuple):
    """How a character looks: colours as `#rrggbb`, or "" for the terminal's own."""

    ink: str = ""
    paper: str = ""
    bold: bool = False
    dim: bool = False
    underlined: bool = False
    reversed: bool = False


class Run(NamedTuple):
    """Characters of one look that stand side by side; `column` is where they begin."""

    column: int
    text: str
    style: Style


def main() -> int:
    directory = _REPOSITORY / "docs" / "pictures"
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="polyarch-picture-", ignore_cleanup_errors=True) as scratch:
        store = Path(scratch) / "store"
        for platform, tar in busybox.bases(busybox.PLATFORMS, busybox.cache_directory()).items():
            polyarch("import", "--platform", platform, str(tar), "busybox", store=store, quiet=True)
        for name, typed in PICTURES.items():
            screen = record(typed, Path(scratch), {"POLYARCH_ROOT": str(store)})
            (directory / f"{name}.svg").write_text(draw(screen))
            print(directory / f"{name}.svg")
    return 0


def record(typed: Sequence[str], scratch: Path, environment: Mapping[str, str]) -> str:
    """Type commands into a shell, each when the one before has ended, and return the screen with its escapes."""
    socket = scratch / "tmux"
    tmux = ["tmux", "-f", "/dev/null", "-S", str(socket)]
    own = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(scratch),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        **environment,
    }
    # The prompt comes back when a command has ended, and says so to who waits.
    rc = scratch / "bashrc"
    rc.write_text(f"PS1='\\[\\e[1;36m\\]$\\[\\e[0m\\] '\nPROMPT_COMMAND='tmux -S {socket} wait-for -S prompt'\n")
    size = ["-x", str(_COLUMNS), "-y", str(_LINES)]
    shell = ["bash", "--noprofile", "--rcfile", str(rc), "-i"]
    subprocess.run([*tmux, "new-session", "-d", *size, *shell], env=own, cwd=_REPOSITORY, check=True)
    try:
        for command in typed:
            _await_prompt(tmux, own)
            subprocess.run([*tmux, "send-keys", "-l", command], env=own, check=True)
            subprocess.run([*tmux, "send-keys", "Enter"], env=own, check=True)
        _await_prompt(tmux, own)
        shown = subprocess.run([*tmux, "capture-pane", "-e", "-p"], env=own, capture_output=True, text=True, check=True)
        return shown.stdout
    finally:
        subprocess.run([*tmux, "kill-server"], env=own, check=False)


def _await_prompt(tmux: Sequence[str], environment: Mapping[str, str]) -> None:
    subprocess.run([*tmux, "wait-for", "prompt"], env=environment, timeout=_SECONDS, check=True)
    # The signal comes just before the prompt is drawn and the shell takes the terminal over.
    time.sleep(0.3)


def draw(screen: str) -> str:
    """The SVG of a screen, as `tmux capture-pane -e` gives it."""
    lines = screen.rstrip("\n").split("\n")
    style = Style()
    body = []
    for number, line in enumerate(lines):
        top = _MARGIN + number * _LINE
        runs, style = parse(line, style)
        body += [part for run in runs for part in _run(run, top)]
    width = round(_COLUMNS * _CELL + 2 * _MARGIN)
    height = len(lines) * _LINE + 2 * _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="ui-monospace, SFMono-Regular, Menlo, DejaVu Sans Mono, monospace" font-size="{_FONT}">\n'
        f'<rect width="100%" height="100%" rx="8" fill="{_PAPER}"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def parse(line: str, style: Style) -> tuple[list[Run], Style]:
    """A line's runs, and the style that holds at its end. Only SGR escapes (`ESC [ … m`) are expected in a screen."""
    runs: list[Run] = []
    column = 0
    for number, piece in enumerate(line.split("\x1b[")):
        text = piece
        if number > 0:
            codes, _, text = piece.partition("m")
            style = _apply(style, [int(code or 0) for code in codes.split(";")])
        if text:
            runs.append(Run(column, text, style))
            column += _width(text)
    return runs, style


def _apply(style: Style, codes: Sequence[int]) -> Style:
    rest = iter(codes)
    for code in rest:
        match code:
            case 0:
                style = Style()
            case 1:
                style = style._replace(bold=True)
            case 2:
                style = style._replace(dim=True)
            case 4:
                style = style._replace(underlined=True)
            case 7:
                style = style._replace(reversed=True)
            case 22:
                style = style._replace(bold=False, dim=False)
            case 24:
                style = style._replace(underlined=False)
            case 27:
                style = style._replace(reversed=False)
            case 38:
                style = style._replace(ink=_extended(rest))
            case 48:
                style = style._replace(paper=_extended(rest))
            case 39:
                style = style._replace(ink="")
            case 49:
                style = style._replace(paper="")
            case _ if code // 10 in (3, 9):
                style = style._replace(ink=_PALETTE[code % 10 + (8 if code >= 90 else 0)])
            case _ if code // 10 in (4, 10):
                style = style._replace(paper=_PALETTE[code % 10 + (8 if code >= 100 else 0)])
    return style


def _extended(rest: Iterator[int]) -> str:
    """A colour of 256 or of 24 bits: what follows 38 or 48."""
    if next(rest) == 2:
        return f"#{next(rest):02x}{next(rest):02x}{next(rest):02x}"
    number = next(rest)
    if number < 16:
        return _PALETTE[number]
    if number >= 232:
        return f"#{8 + 10 * (number - 232):02x}" + f"{8 + 10 * (number - 232):02x}" * 2
    number -= 16
    steps = (0, 95, 135, 175, 215, 255)
    return f"#{steps[number // 36]:02x}{steps[number // 6 % 6]:02x}{steps[number % 6]:02x}"


def _run(run: Run, top: int) -> Iterator[str]:
    ink, paper = run.style.ink or _INK, run.style.paper
    if run.style.reversed:
        ink, paper = paper or _PAPER, ink
    x, width = _MARGIN + run.column * _CELL, _width(run.text) * _CELL
    if paper:
        yield f'<rect x="{x:.1f}" y="{top}" width="{width:.1f}" height="{_LINE}" fill="{paper}"/>'
    if run.text.strip():
        look = f' fill="{ink}"'
        look += ' font-weight="bold"' if run.style.bold else ""
        look += ' opacity="0.65"' if run.style.dim else ""
        look += ' text-decoration="underline"' if run.style.underlined else ""
        # textLength holds the columns in whatever font the reader has.
        place = f'x="{x:.1f}" y="{top + _FONT}" textLength="{width:.1f}" xml:space="preserve"'
        yield f"<text {place}{look}>{escape(run.text)}</text>"


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


if __name__ == "__main__":
    sys.exit(main())
