"""`platforms`: for which platforms this machine can build and run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from polyarch.cli.formats import show
from polyarch.cli.session import Session, pass_session
from polyarch.render import tables

if TYPE_CHECKING:
    from polyarch.sandbox import Support


def supported(session: Session, platforms: Sequence[str] = ()) -> "tuple[Support, ...]":
    """How this machine runs each of the platforms, by default the common ones."""
    from polyarch.sandbox import support
    from polyarch.sandbox.emulation import COMMON

    return support(session.platforms(platforms or [COMMON]), session.environment.search_path)


def table(supports: "Sequence[Support]") -> str:
    """One line for each platform."""
    return tables.render(("PLATFORM", "HOW"), [(str(support.platform), _how(support)) for support in supports])


def _how(support: "Support") -> str:
    if support.how == "emulated":
        return f"emulated by {support.emulator}"
    return f"missing: {support.hint}" if support.how == "missing" else support.how


@click.command("platforms")
@click.argument("platform", nargs=-1, metavar="[PLATFORM...]")
@click.option("--format", "form", metavar="FORMAT", help="Output format: table, json or a Go template")
@pass_session
def platforms(session: Session, platform: tuple[str, ...], form: str | None) -> None:
    """Show for which platforms this machine can build and run: natively, under emulation, or what is missing.

    Runs a tiny program of each platform to be sure. Registers nothing on the host.
    """
    supports = supported(session, platform)
    rows = [
        {
            "Platform": str(support.platform),
            "How": support.how,
            "Emulator": support.emulator,
            "Hint": support.hint,
        }
        for support in supports
    ]
    show(form, rows, lambda: table(supports), {})
