"""`build --check` and `--call`: what can be asked of a Dockerfile without building it."""

from typing import TYPE_CHECKING, Any

import click

from polyarch.cli.session import Session
from polyarch.render import tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyarch.builder import BuildRequest, Outline


def call(method: str, request: "BuildRequest", session: Session) -> int:
    """Answer `check`, `outline` or `targets`. Returns the exit status: 1 if a check found something."""
    from polyarch import builder

    if method == "check":
        checked = builder.check(request, session.store, session.registry())
        for finding in checked.findings:
            click.echo(f"WARNING: {finding.rule.name} (line {finding.location.first})")
            click.echo(f"{finding.message}\n")
        count = len(checked.findings)
        found = f"{count} warning{'s have' if count > 1 else ' has'} been found!" if count else "no warnings found."
        click.echo(f"Check complete, {found}")
        return 1 if count else 0
    if method == "targets":
        targets = builder.targets(request, session.store, session.registry())
        rows = [(f"{target.name}{' (default)' if target.default else ''}", target.description) for target in targets]
        click.echo(tables.render(("TARGET", "DESCRIPTION"), rows), nl=False)
        return 0
    click.echo(_outlined(builder.outline(request, session.store, session.registry())), nl=False)
    return 0


def answered(method: str, request: "BuildRequest", session: Session) -> tuple[dict[str, Any], int]:
    """The answer as an object in BuildKit's form (frontend/subrequests), and the exit status."""
    from polyarch import builder

    if method == "check":
        findings = builder.check(request, session.store, session.registry()).findings
        warnings = [
            {
                "ruleName": finding.rule.name,
                "description": finding.rule.description,
                "detail": finding.message,
                "location": {"ranges": [_range(finding.location.first, finding.location.last)]},
            }
            for finding in findings
        ]
        return {"warnings": warnings}, 1 if warnings else 0
    if method == "targets":
        targets = builder.targets(request, session.store, session.registry())
        keys = ("name", "description", "base", "platform")
        found = [{key: value for key in keys if (value := getattr(target, key))} for target in targets]
        return {"targets": [{**one, "default": target.default} for one, target in zip(found, targets, strict=True)]}, 0
    outline = builder.outline(request, session.store, session.registry())
    return {
        "name": outline.name,
        **({"description": outline.description} if outline.description else {}),
        "args": [
            {
                "name": one.name,
                **({"description": one.description} if one.description else {}),
                "value": one.value or "",
            }
            for one in outline.arguments
        ],
        "secrets": [{"name": one.name, "required": one.required} for one in outline.secrets],
        "ssh": [{"name": one.name, "required": one.required} for one in outline.ssh],
    }, 0


def _range(first: int, last: int) -> dict[str, Any]:
    return {"start": {"line": first}, "end": {"line": last}}


def _outlined(outline: "Outline") -> str:
    """What buildx prints for an outline: the target, then a table for each kind of input that it has."""
    parts = [f"TARGET:      {outline.name}\n" if outline.name else ""]
    if outline.description:
        parts.append(f"DESCRIPTION: {outline.description}\n")
    _part(
        parts,
        ("BUILD ARG", "VALUE", "DESCRIPTION"),
        [(a.name, a.value or "", a.description) for a in outline.arguments],
    )
    _part(parts, ("SECRET", "REQUIRED"), [(needed.name, str(needed.required).lower()) for needed in outline.secrets])
    _part(parts, ("SSH", "REQUIRED"), [(needed.name, str(needed.required).lower()) for needed in outline.ssh])
    return "\n".join(part for part in parts if part)


def _part(parts: list[str], header: "Sequence[str]", rows: "Sequence[Sequence[str]]") -> None:
    if rows:
        parts.append(tables.render(header, rows))
