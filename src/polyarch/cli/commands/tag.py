"""`tag`: create another name for an image."""

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session


@click.command("tag")
@click.argument("source", metavar="SOURCE", shell_complete=options.complete_image)
@click.argument("target", metavar="TARGET")
@pass_session
def tag(session: Session, source: str, target: str) -> None:
    """Create the name TARGET for the image SOURCE."""
    from polyarch.images import tag as tagging

    tagging.tag(session.store, source, target)
