"""`drift`: show unexpected differences between the platforms of one image."""

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
    "config": "Run configuration",
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
@click.option("--ignore", multiple=True, metavar="PATTERN", help="Ignore files that match PATTERN; repeatable")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON")
@click.option("--html", metavar="FILE", help="Write an HTML page to FILE; - is standard output")
@click.option("--no-trunc", is_flag=True, help="Do not shorten long values")
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
    """Show unexpected differences between the platforms of one image.

    Compares the config, the packages and their versions, and the names of the files. Paths that differ only in the
    name of the architecture count as one path.
    """
    from polyarch.images.compare import drift as drifting

    with session.display(progress, verb="Reading") as emit:
        result = drifting.drift(
            session.places([image] if insecure else ()), image, session.platforms(platforms), ignore, emit
        )
    for message in result.unread:
        session.warn(message)
    if html:
        content = render_page(result)
        if html == "-":
            click.echo(content, nl=False)
        else:
            Path(html).write_text(content)
    elif as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(_document(result)), indent=2))
    else:
        click.echo(render(result, width=None if no_trunc else _WIDTH), nl=False)
    if exit_code and result.rows:
        raise click.exceptions.Exit(1)


def render(result: "Drift", width: int | None = _WIDTH) -> str:
    """The drift as a table, one column for each platform."""
    from polyarch.render import tables

    names = [str(platform) for platform in result.platforms]
    if not result.rows:
        return f"{result.name}: nothing differs between {', '.join(names)}\n"
    header = ("KIND", "NAME", *(name.upper() for name in names))
    return tables.render(header, ((row.kind, *_cells(row, width)) for row in result.rows))


def _cells(row: "Row", width: int | None) -> list[str]:
    from polyarch.render import text

    cells = [row.name, *("-" if value is None else value for value in row.values)]
    plain = [text.plain(cell.encode("utf-8", "surrogateescape").decode("utf-8", "replace")) for cell in cells]
    return plain if width is None else [plain[0], *(text.clip(cell, width) for cell in plain[1:])]


def _document(result: "Drift") -> dict[str, Any]:
    names = [str(platform) for platform in result.platforms]
    return {
        "name": result.name,
        "platforms": names,
        "unread": list(result.unread),
        "rows": [
            {
                "kind": row.kind,
                "name": row.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
                "values": dict(zip(names, row.values, strict=True)),
            }
            for row in result.rows
        ],
    }


def render_page(result: "Drift") -> str:
    """The drift as an HTML page: for each kind, a table with a column for each platform."""
    from polyarch.render.html import escape, page

    names = [str(platform) for platform in result.platforms]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body: list[str] = [f"<p>{escape(message)}</p>" for message in result.unread]
    for kind, title in _SECTIONS.items():
        rows = [row for row in result.rows if row.kind == kind]
        if not rows:
            continue
        body.append(f'<h2>{title} ({len(rows)})</h2>\n<div class="wide"><table data-kind="{kind}">')
        body.append(f'<thead><tr><th scope="col">Name</th>{head}</tr></thead>\n<tbody>')
        body += [f'<tr><th scope="row">{escape(row.name)}</th>{_page_cells(row)}</tr>' for row in rows]
        body.append("</tbody></table></div>")
    lead = f"{len(result.rows)} differences between {', '.join(names)}"
    return page(f"Drift of {result.name}", lead if result.rows else f"Nothing differs between {', '.join(names)}", body)


def _page_cells(row: "Row") -> str:
    from polyarch.render.html import escape

    cells = []
    for value in row.values:
        # Not by colour alone: some readers cannot tell red from green.
        style, shown = ("no", "missing") if value is None else ("yes" if row.is_missing else "odd", value)
        cells.append(f'<td class="{style}">{escape(shown)}</td>')
    return "".join(cells)
