"""`inspect` of images, and the other commands that say in docker's words that an image is not there."""

from typing import Any

import click

from polyarch.cli import options
from polyarch.cli.docker.errors import report
from polyarch.cli.formats import show_document
from polyarch.cli.session import Session, pass_session
from polyarch.errors import NoImageError, NotFoundError, UsageError


@click.command("inspect")
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...", shell_complete=options.complete_image)
@options.platform(several=False, help="Platform (default: this machine's)")
@click.option("--type", "kind", default="image", hidden=True)
@click.option("-s", "--size", is_flag=True, hidden=True, expose_value=False)
@options.format_
@pass_session
def inspect(session: Session, names: tuple[str, ...], platform: str | None, kind: str, form: str | None) -> int:
    """Show the details of images, as JSON. Prints those that exist, and fails if one does not."""
    from polyarch.images import inspect as inspecting

    if kind != "image":
        raise UsageError(f"there is no {kind} to inspect: Polyarch has no daemon, and only keeps images")
    chosen, host = session.platform(platform), session.host()
    documents: list[dict[str, Any]] = []
    missing: list[str] = []
    for name in names:
        try:
            documents.append(inspecting.inspect(session.store, name, chosen, host))
        except (NotFoundError, UsageError):
            missing.append(name)
    if documents or not form:
        show_document(form, documents, optional=inspecting.OPTIONAL)
    for name in missing:
        session.note(report(NoImageError(name)))
    return 1 if missing else 0
