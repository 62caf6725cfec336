"""`check`: check the binaries, commands and metadata of an image, for every platform."""

from typing import TYPE_CHECKING, Any

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session

if TYPE_CHECKING:
    from polyarch.images.check.findings import Finding, Group, Report, Severity

_SHOWN_PATHS = 5
_SHOWN_STEP = 100


@click.command("check")
@click.argument("image", metavar="IMAGE|LAYOUT|ARCHIVE", shell_complete=options.complete_image)
@options.platform(several=True, help="Check only these platforms")
@click.option(
    "--allow", multiple=True, metavar="PATTERN", help="Ignore findings about files that match PATTERN; repeatable"
)
@click.option("--strict", is_flag=True, help="Also fail on warnings")
@click.option("--json", "as_json", is_flag=True, help="Same as --format json")
@click.option("--format", "form", type=click.Choice(["table", "json", "sarif"]), help="Output format (default: table)")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing if there are no findings")
@options.progress
@options.insecure
@pass_session
def check(
    session: Session,
    image: str,
    platform: tuple[str, ...],
    allow: tuple[str, ...],
    strict: bool,
    as_json: bool,
    form: str | None,
    quiet: bool,
    progress: str | None,
    insecure: bool,
) -> None:
    """Check an image in the store, a registry, a layout or an archive, for every platform.

    Finds binaries of another architecture, commands that cannot run, missing loaders and libraries, and indexes that
    contradict their images. Exits with 1 if it finds an error.
    """
    from polyarch.images.check import check as checking

    chosen = checking.CheckOptions(platforms=session.platforms(platform), allow=allow)
    with session.display("quiet" if quiet else progress, verb="Checking") as emit:
        report = checking.check(session.places([image] if insecure else ()), image, chosen, emit)
    good = report.is_good(strict=strict)
    form = "json" if as_json else form
    if form == "json":
        _echo(_document(report, good))
    elif form == "sarif":
        from polyarch.images.check import sarif
        from polyarch.version import VERSION

        _echo(sarif.document(report, VERSION))
    elif report.findings or not quiet:
        click.echo(render(report, colour=session.environment.terminal.colour), nl=False)
    if not good:
        raise click.exceptions.Exit(1)


def render(report: "Report", *, colour: bool = False) -> str:
    """The report as text: by platform, equal findings grouped."""
    from polyarch.images.check.findings import grouped

    counted = {str(image.platform): image for image in report.images}
    groups: dict[str, list[Group]] = {name: [] for name in counted}
    for group in grouped(report.findings):
        groups.setdefault(group.first.platform, []).append(group)
    lines: list[str] = []
    for platform in sorted(groups, key=lambda name: name != ""):  # findings about the index come first
        image = counted.get(platform)
        count = f" ({image.binaries} {'binary' if image.binaries == 1 else 'binaries'})" if image else ""
        clean = "" if groups[platform] else ": nothing found"
        lines.append(f"{platform or report.name}{count if platform else ''}{clean}")
        for group in groups[platform]:
            lines += _group(group, colour)
    if not groups:
        lines.append(f"{report.name}: no image to check")
    return "\n".join([*lines, _summary(report)]) + "\n"


def _group(group: "Group", colour: bool) -> list[str]:
    from polyarch.render import text

    first = group.first
    severity = _coloured(first) if colour else first.severity
    lines = [f"  {severity}: {text.plain(first.message)} [{first.rule}]"]
    lines += [f"      {text.plain(path)}" for path in group.paths[:_SHOWN_PATHS]]
    if len(group.paths) > _SHOWN_PATHS:
        lines.append(f"      … and {len(group.paths) - _SHOWN_PATHS} more")
    if first.layer:
        step = f" by {text.clip(text.plain(first.step), _SHOWN_STEP)}" if first.step else ""
        lines.append(f"      layer {text.short_digest(first.layer)}{step}")
    return lines


def _coloured(finding: "Finding") -> str:
    colours = {"error": "red", "warning": "yellow", "note": "blue"}
    return click.style(finding.severity, fg=colours[finding.severity], bold=True)


def _summary(report: "Report") -> str:
    if not report.findings:
        return f"{report.name} is good"
    severities: tuple[Severity, ...] = ("error", "warning", "note")
    counts = [(report.count(severity), severity) for severity in severities]
    shown = [f"{count} {severity}{'s' if count > 1 else ''}" for count, severity in counts if count]
    return f"{report.name}: {', '.join(shown)}"


def _document(report: "Report", good: bool) -> dict[str, Any]:
    import msgspec

    return {
        "name": report.name,
        "digest": report.digest,
        "good": good,
        "images": [
            {
                "platform": str(image.platform),
                "digest": image.digest,
                "binaries": image.binaries,
                "layers": image.layers,
            }
            for image in report.images
        ],
        "findings": [_clean(msgspec.to_builtins(finding)) for finding in report.findings],
    }


def _clean(finding: dict[str, str]) -> dict[str, str]:
    """Replace bytes that are not UTF-8: JSON cannot hold them."""
    return {key: value.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for key, value in finding.items()}


def _echo(document: dict[str, Any]) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))
