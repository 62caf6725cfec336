"""`diff`: how one image differs from another."""

from typing import TYPE_CHECKING, Any

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UsageError

if TYPE_CHECKING:
    from polyarch.images.compare.diff import Diff

_SIGNS = {"added": "A", "removed": "D", "changed": "C"}


@click.command("diff")
@click.argument("before", metavar="IMAGE", shell_complete=options.complete_image)
@click.argument("after", required=False, metavar="[IMAGE]", shell_complete=options.complete_image)
@options.platform(several=True, help="The platform to compare; two for one image, or one for each image")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if anything differs")
@options.progress
@options.insecure
@pass_session
def diff(
    session: Session,
    before: str,
    after: str | None,
    platform: tuple[str, ...],
    as_json: bool,
    exit_code: bool,
    progress: str | None,
    insecure: bool,
) -> None:
    """Show how an image differs from another, or one platform of it from another: config, packages, files.

    Files are shown as 'docker diff' does: A added, D removed, C changed. Their times are not compared.
    """
    from polyarch.images.compare import diff as differing

    wanted = session.platforms(platform)
    if after is None and len(wanted) != 2:
        raise UsageError(
            "an image can only be compared with itself on two platforms", "name another image, or two with --platform"
        )
    if len(wanted) > 2:
        raise UsageError("--platform takes one platform here, or one for each image", "compare two at a time")
    sides = (wanted[0], wanted[-1]) if wanted else (None, None)
    named = [before, *([after] if after else [])]
    with session.display(progress, verb="Reading") as emit:
        found = differing.diff(
            session.places(named if insecure else ()), before, after or before, sides, session.host(), emit
        )
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(_document(found)), indent=2))
    else:
        click.echo(render(found), nl=False)
    if exit_code and (found.rows or found.files):
        raise click.exceptions.Exit(1)


def render(found: "Diff") -> str:
    """The difference as lines."""
    from polyarch.render import text

    lines = [f"--- {found.before.name} {found.before.platform}", f"+++ {found.after.name} {found.after.platform}"]
    for row in found.rows:
        one, two = row.values
        change = f"{one} → {two}" if one is not None and two is not None else two if one is None else one
        lines.append(f"{_SIGNS[_change(row.values)]} {row.kind} {row.name}: {change}")
    for file in found.files:
        what = f"  ({', '.join(file.what)})" if file.what else ""
        lines.append(f"{_SIGNS[file.change]} {file.path}{what}")
    if len(lines) == 2:
        lines.append("nothing differs")
    return "".join(f"{text.plain(_utf8(line))}\n" for line in lines)


def _change(values: tuple[str | None, ...]) -> str:
    return "added" if values[0] is None else "removed" if values[1] is None else "changed"


def _utf8(line: str) -> str:
    return line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _document(found: "Diff") -> dict[str, Any]:
    return {
        **{
            word: {"name": side.name, "platform": str(side.platform), "digest": side.digest}
            for word, side in (("before", found.before), ("after", found.after))
        },
        "rows": [
            {"kind": row.kind, "name": row.name, "before": row.values[0], "after": row.values[1]} for row in found.rows
        ],
        "files": [
            {"change": file.change, "path": _utf8(file.path), "what": [_utf8(what) for what in file.what]}
            for file in found.files
        ],
    }
