"""`--explain` and `--graph` of `bake` and `compose build`: what they would do, as text, JSON, a page or a picture."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyarch.errors import PolyarchError, UsageError

if TYPE_CHECKING:
    from polyarch.builder.forecast.values import Forecast

_OPTIONS = (
    click.option("--explain", is_flag=True, help="Show what would be done, why, and what is shared, without building"),
    click.option("--format", "form", type=click.Choice(["text", "json"]), help="The format of --explain"),
    click.option("--html", metavar="FILE", help="Write --explain as an HTML page to FILE; - is standard output"),
    click.option(
        "--graph", metavar="FILE", help="Draw targets, stages and what is shared, as SVG; - is standard output"
    ),
)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that may show what it would do."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def is_asked(words: Mapping[str, Any]) -> bool:
    """Whether the options ask for a forecast instead of a build. Raises UsageError for a format without one."""
    if words["form"] and not words["explain"]:
        raise UsageError("--format is the format of --explain", "add --explain")
    return bool(words["explain"] or words["html"] or words["graph"])


def show(forecast: "Forecast", failure: PolyarchError | None, words: Mapping[str, Any]) -> None:
    """Print the forecast and write files, as the options say. Then raise the failure of targets that are left out."""
    if words["html"]:
        from polyarch.render.forecast_page import render_page

        _write(words["html"], render_page(forecast))
    if words["graph"]:
        from polyarch.render.forecast_graph import render_graph

        _write(words["graph"], render_graph(forecast))
    if words["form"] == "json":
        import msgspec

        from polyarch.builder.forecast import report

        click.echo(msgspec.json.format(msgspec.json.encode(report.document(forecast)), indent=2))
    elif words["explain"] and not words["html"]:
        from polyarch.render.forecast_text import render_text

        click.echo(render_text(forecast), nl=False)
    if failure is not None:
        raise failure


def _write(file: str, text: str) -> None:
    if file == "-":
        click.echo(text, nl=False)
    else:
        Path(file).write_text(text)
