"""`import`: an image from a root filesystem."""

import sys
from typing import TYPE_CHECKING

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session
from polyarch.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyarch.oci.config import ImageConfig


@click.command("import")
@click.argument("file", metavar="FILE|-", type=click.Path(allow_dash=True))
@click.argument("name", metavar="NAME[:TAG]")
@options.platform(several=False, help="What the files are made for (default: this machine's)")
@click.option(
    "-c", "--change", "changes", multiple=True, metavar="INSTRUCTION", help="Set config, as in 'CMD [\"sh\"]'"
)
@click.option("-m", "--message", default="", metavar="TEXT", help="A comment for the history")
@options.progress
@pass_session
def import_(
    session: Session,
    file: str,
    name: str,
    platform: str | None,
    changes: tuple[str, ...],
    message: str,
    progress: str | None,
) -> None:
    """Make the image for one platform from a tar, compressed or not, of its root filesystem.

    NAME becomes an index, or the image becomes the entry for its platform in the index that NAME is.
    """
    from polyarch.images import import_ as importing
    from polyarch.oci import reference as references

    reference = references.parse(name).tagged()
    wanted = session.platform(platform) or session.host()
    configure = _configure(changes)
    settings = importing.Settings(created=session.timestamp(), source=file, message=message)
    with session.display(progress, verb="Importing") as emit:
        if file == "-":
            done = importing.import_image(session.store, sys.stdin.buffer, reference, wanted, settings, configure, emit)
        else:
            try:
                tar = open(file, "rb")  # noqa: SIM115 (closed by the with below; only opening is to be explained)
            except FileNotFoundError as error:
                raise NotFoundError(f"there is no file {file}", "give a tar, or - for standard input") from error
            with tar:
                done = importing.import_image(session.store, tar, reference, wanted, settings, configure, emit)
    if done.replaced:
        session.note(f"{reference.familiar()}: the image for {wanted} was {done.replaced}, which it replaces")
    click.echo(done.image.digest)


def _configure(changes: tuple[str, ...]) -> "Callable[[ImageConfig], ImageConfig]":
    return lambda config: config
