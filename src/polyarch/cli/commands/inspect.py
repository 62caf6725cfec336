"""`inspect`: show the details of images as JSON."""

import click

from polyarch.cli import options
from polyarch.cli.formats import show_document
from polyarch.cli.session import Session, pass_session


@click.command("inspect")
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...", shell_complete=options.complete_image)
@options.platform(several=False, help="Platform (default: this machine's)")
@click.option("--type", "kind", type=click.Choice(["image"]), hidden=True)
@options.format_
@pass_session
def inspect(session: Session, names: tuple[str, ...], platform: str | None, kind: str | None, form: str | None) -> None:
    """Show the details of images: config, layers, names, and the platforms of an index."""
    from polyarch.images import inspect as inspecting

    chosen, host = session.platform(platform), session.host()
    documents = [inspecting.inspect(session.store, name, chosen, host) for name in names]
    show_document(form, documents, optional=inspecting.OPTIONAL)
