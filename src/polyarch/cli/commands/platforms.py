"""`platforms`, `buildx inspect`, `buildx ls`: what this machine can build and run, proved by running."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from polyarch.cli.formats import show
from polyarch.cli.session import Session, pass_session
from polyarch.render import tables

if TYPE_CHECKING:
    from polyarch.sandbox import Support

# What docker's buildx asks its builders for, and Debian has ports of.
COMMON = "linux/amd64,linux/386,linux/arm64,linux/arm/v7,linux/arm/v6,linux/arm/v5,linux/riscv64,linux/ppc64le,"
COMMON += "linux/s390x,linux/mips64le,linux/mips64,linux/loong64"


def _support(session: Session, platform: Sequence[str]) -> "tuple[Support, ...]":
    from polyarch.sandbox import support

    return support(session.platforms(platform or [COMMON]), session.environment.search_path)


def _how(found: "Support") -> str:
    if found.how == "emulated":
        return f"emulated by {found.emulator}"
    return f"missing: {found.hint}" if found.how == "missing" else found.how


@click.command("platforms")
@click.argument("platform", nargs=-1, metavar="[PLATFORM...]")
@click.option("--format", "form", metavar="FORMAT", help="'table', 'json', or a Go template")
@pass_session
def platforms(session: Session, platform: tuple[str, ...], form: str | None) -> None:
    """Show for which platforms this machine can build and run: natively, emulated (by which file), or what is missing.

    Each is proved by running a tiny program of that platform. Nothing is registered on the host.
    """
    found = _support(session, platform)
    rows = [
        {"Platform": str(each.platform), "How": each.how, "Emulator": each.emulator, "Hint": each.hint}
        for each in found
    ]
    show(
        form,
        rows,
        lambda: tables.render(("PLATFORM", "HOW"), [(str(each.platform), _how(each)) for each in found]),
        {},
    )


@click.command("inspect")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--bootstrap", is_flag=True, help="Docker's: nothing has to be started here")
@click.option("--builder", hidden=True, expose_value=False)
@click.option("--timeout", hidden=True, expose_value=False)
@pass_session
def inspect(session: Session, name: str | None, bootstrap: bool) -> None:
    """Show the builder. There is one, polyarch itself; no daemon runs."""
    from polyarch.version import VERSION

    found = _support(session, ())
    able = [str(each.platform) for each in found if each.how != "missing"]
    lines = [
        "Name:          polyarch",
        "Driver:        polyarch",
        "",
        "Nodes:",
        "Name:          polyarch",
        "Endpoint:      this machine, without a daemon",
        "Status:        running",
        f"Version:       {VERSION}",
        f"Platforms:     {', '.join(able)}",
    ]
    click.echo("\n".join(lines))
    click.echo()
    click.echo(tables.render(("PLATFORM", "HOW"), [(str(each.platform), _how(each)) for each in found]), nl=False)


@click.command("ls")
@click.option("--format", "form", metavar="FORMAT", help="'table', 'json', or a Go template")
@click.option("--no-trunc", hidden=True, is_flag=True, expose_value=False)
@pass_session
def ls(session: Session, form: str | None) -> None:
    """List the builders: there is one."""
    from polyarch.version import VERSION

    able = [str(each.platform) for each in _support(session, ()) if each.how != "missing"]
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
