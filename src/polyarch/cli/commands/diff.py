"""`diff`: show the differences between two images."""

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
@options.platform(several=True, help="Platform to compare: two for one image, or one for each image")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON")
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
    """Show how two images, or two platforms of one image, differ: config, packages, files.

    Marks files as 'docker diff' does: A added, D removed, C changed. Does not compare their times.
    """
    from polyarch.images.compare import diff as differing

    platforms = session.platforms(platform)
    if after is None and len(platforms) != 2:
        raise UsageError(
            "one image is compared between two platforms", "name a second image, or two platforms with --platform"
        )
    if len(platforms) > 2:
        raise UsageError("--platform takes one platform here, or one for each image", "compare two platforms at a time")
    sides = (platforms[0], platforms[-1]) if platforms else (None, None)
    names = [before, *([after] if after else [])]
    with session.display(progress, verb="Reading") as emit:
        difference = differing.diff(
            session.places(names if insecure else ()), before, after or before, sides, session.host(), emit
        )
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(_document(difference)), indent=2))
    else:
        click.echo(render(difference), nl=False)
    if exit_code and (difference.rows or difference.files):
        raise click.exceptions.Exit(1)


def render(difference: "Diff") -> str:
    """The differences as text."""
    from polyarch.render import text

    lines = [
        f"--- {difference.before.name} {difference.before.platform}",
        f"+++ {difference.after.name} {difference.after.platform}",
    ]
    for row in difference.rows:
        old, new = row.values
        change = f"{old} → {new}" if old is not None and new is not None else new if old is None else old
        lines.append(f"{_SIGNS[_change(row.values)]} {row.kind} {row.name}: {change}")
    for file in difference.files:
        what = f"  ({', '.join(file.what)})" if file.what else ""
        lines.append(f"{_SIGNS[file.change]} {file.path}{what}")
    if len(lines) == 2:
        lines.append("nothing differs")
    return "".join(f"{text.plain(_utf8(line))}\n" for line in lines)


def _change(values: tuple[str | None, ...]) -> str:
    return "added" if values[0] is None else "removed" if values[1] is None else "changed"


def _utf8(line: str) -> str:
    return line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _document(difference: "Diff") -> dict[str, Any]:
    return {
        **{
            label: {"name": side.name, "platform": str(side.platform), "digest": side.digest}
            for label, side in (("before", difference.before), ("after", difference.after))
        },
        "rows": [
            {"kind": row.kind, "name": row.name, "before": row.values[0], "after": row.values[1]}
            for row in difference.rows
        ],
        "files": [
            {"change": file.change, "path": _utf8(file.path), "what": [_utf8(what) for what in file.what]}
            for file in difference.files
        ],
    }
