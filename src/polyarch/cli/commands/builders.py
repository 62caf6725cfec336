"""`buildx inspect` and `buildx ls`: Polyarch, as docker buildx shows a builder."""

from typing import TYPE_CHECKING

import click

from polyarch.cli.commands.platforms import supported, table
from polyarch.cli.formats import show
from polyarch.cli.session import Session, pass_session
from polyarch.render import tables

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polyarch.sandbox import Support


@click.command("inspect")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--bootstrap", is_flag=True, help="Accepted for compatibility with docker; there is nothing to start")
@click.option("--builder", hidden=True, expose_value=False)
@click.option("--timeout", hidden=True, expose_value=False)
@pass_session
def inspect(session: Session, name: str | None, bootstrap: bool) -> None:
    """Show the builder. The only builder is Polyarch itself; there is no daemon."""
    from polyarch.version import VERSION

    supports = supported(session)
    lines = [
        "Name:          polyarch",
        "Driver:        polyarch",
        "",
        "Nodes:",
        "Name:          polyarch",
        "Endpoint:      this machine, without a daemon",
        "Status:        running",
        f"Version:       {VERSION}",
        f"Platforms:     {', '.join(_names(supports))}",
    ]
    click.echo("\n".join(lines))
    click.echo()
    click.echo(table(supports), nl=False)


@click.command("ls")
@click.option("--format", "form", metavar="FORMAT", help="Output format: table, json or a Go template")
@click.option("--no-trunc", hidden=True, is_flag=True, expose_value=False)
@pass_session
def ls(session: Session, form: str | None) -> None:
    """List the builders. The only builder is Polyarch itself."""
    from polyarch.version import VERSION

    able = _names(supported(session))
    row = {"Name": "polyarch", "DriverEndpoint": "polyarch", "Status": "running", "Version": VERSION, "Platforms": able}
    show(
        form,
        [row],
        lambda: tables.render(
            ("NAME/NODE", "DRIVER/ENDPOINT", "STATUS", "VERSION", "PLATFORMS"),
            [("polyarch*", "polyarch", "running", VERSION, ", ".join(able))],
        ),
        {},
    )


def _names(supports: "Iterable[Support]") -> list[str]:
    """The platforms that run on this machine."""
    return [str(support.platform) for support in supports if support.how != "missing"]
