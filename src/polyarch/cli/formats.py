"""Docker's `--format` of lists and documents: a table (default), `json`, a template, or `table` with a template."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click

from polyarch.render import tables

Row = Mapping[str, Any]


def show(form: str | None, rows: Iterable[Row], default: Callable[[], str], titles: Mapping[str, str]) -> None:
    """Print `rows` in the format `form`; without one, print the result of `default`.

    `titles` are column titles by field; a field that is not there is its own title.
    """
    if not form or form == "table":
        click.echo(default(), nl=False)
        return
    if form == "json":
        import msgspec

        for row in rows:
            click.echo(msgspec.json.encode(row))
        return
    from polyarch.render.templates import for_rows

    template = for_rows(form)
    if not template.table:
        for row in rows:
            click.echo(template.render(row))
        return
    lines: Sequence[Sequence[str]] = [template.render(row).split("\t") for row in rows]
    click.echo(tables.render(template.header(titles).split("\t"), lines), nl=False)


def show_document(
    form: str | None, documents: Sequence[Any], *, always_list: bool = True, optional: Iterable[str] = ()
) -> None:
    """Print documents as JSON indented by four, as docker inspect does, or each with a template.

    Without `always_list`, only the first document is printed, and not as a list. `optional` are fields that a template
    may use in a document that does not have them: they are empty.
    """
    import msgspec

    if form and form != "json":
        from polyarch.render.templates import Template
        from polyarch.render.templates.values import Struct

        template = Template(form)
        for document in documents:
            click.echo(template.render(Struct(document, optional) if optional else document))
        return
    shown: Any = documents if always_list else documents[0]
    raw = msgspec.json.encode(shown)
    click.echo(raw if form == "json" else msgspec.json.format(raw, indent=4))


def since(created: str) -> str:
    """How long ago a time in RFC 3339 was, as docker prints it: `2 hours ago`; `N/A` for any other text."""
    import calendar
    import time

    from polyarch.render import text

    try:
        moment = calendar.timegm(time.strptime(created[:19], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return "N/A"
    return text.age(max(time.time() - moment, 0))
