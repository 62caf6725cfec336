"""`platforms`: for which platforms this machine can build and run, and with --probe what differs on each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from polyarch.cli.formats import show
from polyarch.cli.session import Session, pass_session
from polyarch.errors import MachineError, UsageError
from polyarch.render import tables

if TYPE_CHECKING:
    from polyarch.sandbox import Support
    from polyarch.sandbox.probing import Examination


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
        return str(support) + (f"; {support.hint}" if support.hint else "")
    return f"missing: {support.hint}" if support.how == "missing" else support.how


def _examined(session: Session, platforms: Sequence[str]) -> "tuple[Examination, ...]":
    from pathlib import Path

    from polyarch.doctor.disk import trial_directory
    from polyarch.sandbox.emulation import COMMON
    from polyarch.sandbox.probing import examine

    with trial_directory(session.root) as directory:
        if directory is None:
            raise MachineError(f"cannot write to {session.root}, where the probes run", "--root chooses another place")
        return examine(session.platforms(platforms or [COMMON]), session.environment.search_path, Path(directory))


def probed(examinations: "Sequence[Examination]") -> str:
    """A line for each platform, and below what its probes found, with what that means for builds."""
    from polyarch.doctor.programs import version

    rows = []
    places: dict[tuple[str, str, str], list[str]] = {}
    for one in examinations:
        support, differing = one.support, [finding for finding in one.findings if finding.differs]
        for finding in differing:
            places.setdefault((finding.probe, finding.differs, finding.hint), []).append(str(support.platform))
        how = f"emulated by {support.emulator} ({version(support.emulator)})" if support.emulator else _how(support)
        found = f"{len(one.findings) - len(differing)} of {len(one.findings)}" if one.findings else ""
        reason = one.reason if support.how != "missing" else ""
        rows.append((str(support.platform), found or reason or "-", how))
    emulated = [str(one.support.platform) for one in examinations if one.findings and one.support.how == "emulated"]
    parts = [tables.render(("PLATFORM", "AS EXPECTED", "HOW"), rows)]
    for (probe, differs, hint), platforms in places.items():
        common = len(emulated) > 1 and platforms == emulated
        where = "every emulated platform" if common else ", ".join(platforms)
        parts.append(f"{probe}: {differs} ({where})\n    {hint}\n")
    return "\n".join(parts)


@click.command("platforms")
@click.argument("platform", nargs=-1, metavar="[PLATFORM...]")
@click.option("--probe", is_flag=True, help="Show what differs on each from a real machine, and what a build may meet")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON")
@click.option("--format", "form", metavar="FORMAT", help="Output format: table, json or a Go template")
@pass_session
def platforms(session: Session, platform: tuple[str, ...], probe: bool, as_json: bool, form: str | None) -> None:
    """Show for which platforms this machine can build and run: natively, under emulation, or what is missing.

    A platform counts as emulated if a small program of it, which makes the calls with which C libraries start, ran.
    With --probe, a program with some twenty probes runs in a container for each platform, as a RUN step does. Registers
    nothing on the host.
    """
    if as_json and form:
        raise UsageError(
            "--json and --format exclude each other", "--format '{{json .}}' prints a line for each platform"
        )
    examinations = _examined(session, platform) if probe else ()
    supports = [one.support for one in examinations] if probe else supported(session, platform)
    rows: list[dict[str, object]] = [
        {
            "Platform": str(support.platform),
            "How": support.how,
            "Emulator": support.emulator,
            "Hint": support.hint,
        }
        for support in supports
    ]
    for row, one in zip(rows, examinations, strict=False):
        row["Reason"] = one.reason
        row["Probes"] = [{"Name": each.probe, "Differs": each.differs, "Hint": each.hint} for each in one.findings]
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2))
        return
    show(form, rows, lambda: probed(examinations) if probe else table(supports), {})
