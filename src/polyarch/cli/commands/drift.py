"""`drift`: what differs between the platforms of one image."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session

if TYPE_CHECKING:
    from polyarch.images.compare.drift import Drift
    from polyarch.images.compare.rows import Row

_WIDTH = 40
_SECTIONS = {
    "config": "How it is run",
    "env": "Environment",
    "label": "Labels",
    "port": "Exposed ports",
    "volume": "Volumes",
    "package": "Packages",
    "file": "Files",
}


@click.command("drift")
@click.argument("image", metavar="IMAGE|LAYOUT|ARCHIVE", shell_complete=options.complete_image)
@click.argument("platforms", nargs=-1, metavar="[PLATFORM PLATFORM...]")
@click.option("--ignore", multiple=True, metavar="PATTERN", help="Files that may differ; repeatable")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON")
@click.option("--html", metavar="FILE", help="Write one page for a browser; - is standard output")
@click.option("--no-trunc", is_flag=True, help="Print long values whole")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if anything differs")
@options.progress
@options.insecure
@pass_session
def drift(
    session: Session,
    image: str,
    platforms: tuple[str, ...],
    ignore: tuple[str, ...],
    as_json: bool,
    html: str | None,
    no_trunc: bool,
    exit_code: bool,
    progress: str | None,
    insecure: bool,
) -> None:
    """Show what differs between the platforms of one image, though it should not.

    Compares the config, the packages and their versions, and the names of the files. Paths that differ only in the
    name of the architecture count as one path.
    """
    from polyarch.images.compare import drift as drifting

    wanted = session.platforms(platforms)
    with session.display(progress, verb="Reading") as emit:
        found = drifting.drift(session.places([image] if insecure else ()), image, wanted, ignore, emit)
    for message in found.unread:
        session.warn(message)
    if html:
        made = render_page(found)
        if html == "-":
            click.echo(made, nl=False)
        else:
            Path(html).write_text(made)
    elif as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(_document(found)), indent=2))
    else:
        click.echo(render(found, width=None if no_trunc else _WIDTH), nl=False)
    if exit_code and found.rows:
        raise click.exceptions.Exit(1)


def render(found: "Drift", width: int | None = _WIDTH) -> str:
    """The drift as a table, a column a platform."""
    from polyarch.render import tables

    names = [str(platform) for platform in found.platforms]
    if not found.rows:
        return f"{found.name}: nothing differs between {', '.join(names)}\n"
    header = ("KIND", "NAME", *(name.upper() for name in names))
    return tables.render(header, ((row.kind, *_cells(row, width)) for row in found.rows))


def _cells(row: "Row", width: int | None) -> list[str]:
    from polyarch.render import text

    cells = [row.name, *("-" if value is None else value for value in row.values)]
    plain = [text.plain(cell.encode("utf-8", "surrogateescape").decode("utf-8", "replace")) for cell in cells]
    return plain if width is None else [plain[0], *(text.clip(cell, width) for cell in plain[1:])]


def _document(found: "Drift") -> dict[str, Any]:
    names = [str(platform) for platform in found.platforms]
    return {
        "name": found.name,
        "platforms": names,
        "unread": list(found.unread),
        "rows": [
            {
                "kind": row.kind,
                "name": row.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
                "values": dict(zip(names, row.values, strict=True)),
            }
            for row in found.rows
        ],
    }


def render_page(found: "Drift") -> str:
    """The drift as a page: a matrix of things and platforms for each kind."""
    from polyarch.render.html import escape, page

    names = [str(platform) for platform in found.platforms]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body: list[str] = [f"<p>{escape(message)}</p>" for message in found.unread]
    for kind, title in _SECTIONS.items():
        rows = [row for row in found.rows if row.kind == kind]
        if not rows:
            continue
        body.append(f'<h2>{title} ({len(rows)})</h2>\n<div class="wide"><table data-kind="{kind}">')
        body.append(f'<thead><tr><th scope="col">Name</th>{head}</tr></thead>\n<tbody>')
        body += [f'<tr><th scope="row">{escape(row.name)}</th>{_page_cells(row)}</tr>' for row in rows]
        body.append("</tbody></table></div>")
    lead = f"{len(found.rows)} differences between {', '.join(names)}"
    return page(f"Drift of {found.name}", lead if found.rows else f"Nothing differs between {', '.join(names)}", body)


def _page_cells(row: "Row") -> str:
    from polyarch.render.html import escape

    cells = []
    for value in row.values:
        # A word beside the colour: who does not see red and green reads it.
        style, shown = ("no", "missing") if value is None else ("yes" if row.is_missing else "odd", value)
        cells.append(f'<td class="{style}">{escape(shown)}</td>')
    return "".join(cells)
