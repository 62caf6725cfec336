"""`history`: the steps that an image was built with."""

import click

from polyarch.cli import options
from polyarch.cli.formats import show, since
from polyarch.cli.session import Session, pass_session
from polyarch.render import tables, text


@click.command("history")
@click.argument("name", metavar="IMAGE", shell_complete=options.complete_image)
@click.option("-H", "--human/--no-human", default=True, help="Print readable sizes and ages (default)")
@click.option("--no-trunc", is_flag=True, help="Do not shorten ids and commands")
@click.option("-q", "--quiet", is_flag=True, help="Print layer digests only")
@options.platform(several=False, help="Platform (default: this machine's)")
@click.option("--format", "form", metavar="FORMAT", help="Output format: table, json or a Go template")
@pass_session
def history(
    session: Session,
    name: str,
    human: bool,
    no_trunc: bool,
    quiet: bool,
    platform: str | None,
    form: str | None,
) -> None:
    """Show the history of an image, newest step first."""
    from polyarch.images import history as histories
    from polyarch.images import names
    from polyarch.transfer import choose

    named = names.find(session.store, name)
    names.require_here(session.store, named)
    image = choose.any_of(session.store, name, named.descriptor, session.platform(platform), session.host())
    steps = histories.history(image)
    if quiet:
        click.echo("".join(f"{step.layer or '<missing>'}\n" for step in steps), nl=False)
        return
    rows = [
        {
            "ID": (step.layer if no_trunc else text.short_digest(step.layer)) or "<missing>",
            "CreatedAt": step.created,
            "CreatedSince": since(step.created) if human else step.created,
            "CreatedBy": step.created_by if no_trunc else text.clip(" ".join(step.created_by.split()), 45),
            "Size": text.size(step.size) if human else str(step.size),
            "Comment": step.comment,
        }
        for step in steps
    ]
    columns = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")
    titles = {"ID": "LAYER", "CreatedSince": "CREATED", "CreatedBy": "CREATED BY"}
    show(
        form,
        rows,
        lambda: tables.render(
            [titles.get(column, column.upper()) for column in columns],
            [[row[column] for column in columns] for row in rows],
        ),
        titles,
    )
