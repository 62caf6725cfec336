"""`verify-attestations`: whether the attestations of an image are about it, and can be read."""

from typing import TYPE_CHECKING, Any

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session

if TYPE_CHECKING:
    from polyarch.indexes.verify import AttestationReport, VerifiedAttestation, VerifiedStatement


@click.command("verify-attestations")
@click.argument("image", metavar="IMAGE|LAYOUT|ARCHIVE", shell_complete=options.complete_image)
@options.platform(several=True, help="Verify only these platforms")
@click.option("--materials", is_flag=True, help="Also ask registries whether they still have the base images")
@click.option("--strict", is_flag=True, help="Also fail on warnings")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="Output format")
@options.insecure
@pass_session
def verify_attestations(
    session: Session, image: str, platform: tuple[str, ...], materials: bool, strict: bool, form: str, insecure: bool
) -> None:
    """Verify the attestations of an image in the store, a registry, a layout or an archive.

    Each must be about the image for its platform, by digest, and be readable. Signatures are verified by the command
    verify. Exits with 1 if there is an error, or no attestation.
    """
    from polyarch.images import attested

    places = session.places([image] if insecure else ())
    report = attested.report(places, image, session.platforms(platform), with_materials=materials)
    good = report.is_good(strict=strict)
    click.echo(_document(report, good) if form == "json" else render(report), nl=form == "json")
    if not good:
        raise click.exceptions.Exit(1)


def render(report: "AttestationReport") -> str:
    """The report as text: a table of statements, then the problems."""
    from polyarch.render import tables

    rows = [row for one in report.attestations for row in _rows(report, one)]
    lines = [
        f"{problem.severity}: {problem.platform + ': ' if problem.platform else ''}{_plain(problem.message)}"
        f" [{problem.rule}]\n"
        for problem in report.problems
    ]
    table = tables.render(("PLATFORM", "TYPE", "SUBJECTS", "SIZE", "RESULT"), rows) if rows else ""
    return "".join([table, *lines, _summary(report)])


def _rows(report: "AttestationReport", one: "VerifiedAttestation") -> list[tuple[str, ...]]:
    from polyarch.render import text

    platform = one.platform or "(index)"
    if not one.statements:
        result = _result(report, one)
        return [(platform, _plain(one.artifact_type) or "(unknown)", "", text.size(one.size), result)]
    return [
        (
            platform,
            _plain(statement.predicate_type) or "(unknown)",
            _plain(text.clip(", ".join(statement.subjects), 60)) or "(the image, by digest)",
            text.size(statement.size),
            _result(report, one, statement),
        )
        for statement in one.statements
    ]


def _result(
    report: "AttestationReport", one: "VerifiedAttestation", statement: "VerifiedStatement | None" = None
) -> str:
    """The worst that was found about a statement, or about its attestation as a whole."""
    own = {"", statement.digest} if statement is not None else {""}
    found = {
        problem.severity
        for problem in report.problems
        if problem.attestation == one.digest and problem.statement in own
    }
    return next((severity for severity in ("error", "warning") if severity in found), "holds")


def _summary(report: "AttestationReport") -> str:
    counts = [(sum(problem.severity == kind for problem in report.problems), kind) for kind in ("error", "warning")]
    shown = [f"{count} {kind}{'s' if count > 1 else ''}" for count, kind in counts if count]
    count = sum(len(one.statements) for one in report.attestations)
    held = f"{count} statement{'' if count == 1 else 's'} hold{'s' if count == 1 else ''}"
    return f"{report.name}: {', '.join(shown) or held}\n"


def _document(report: "AttestationReport", good: bool) -> bytes:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(report)
    return msgspec.json.format(msgspec.json.encode({"name": plain.pop("name"), "good": good, **plain}), indent=2)


def _plain(words: str) -> str:
    from polyarch.render import text

    return text.plain(words)
