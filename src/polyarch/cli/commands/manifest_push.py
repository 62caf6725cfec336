"""`manifest push`: push a multi-platform index with its images."""

import click

from polyarch.cli import options
from polyarch.cli.commands.manifest import all_, format_
from polyarch.cli.session import Session, pass_session


@click.command("push")
@click.argument("name", metavar="LIST", shell_complete=options.complete_image)
@click.argument("destination", required=False, metavar="[DEST]")
@click.option("-p", "--purge", is_flag=True, help="Remove the list from the store after the push")
@all_
@options.platform(several=True, help="Push only the images for these platforms")
@format_
@click.option("-q", "--quiet", is_flag=True, help="Print only the digest")
@options.progress
@options.insecure
@pass_session
def push(
    session: Session,
    name: str,
    destination: str | None,
    purge: bool,
    everything: bool,
    platform: tuple[str, ...],
    form: str | None,
    quiet: bool,
    progress: str | None,
    insecure: bool,
) -> None:
    """Push LIST to its registry, or to DEST: first the images, then the list. Prints the digest of the list."""
    from polyarch.indexes import push as pushing

    names = [name, *([destination] if destination else [])]
    with session.display("quiet" if quiet else progress, verb="Pushing") as emit:
        result = pushing.push(
            session.places(names if insecure else ()),
            name,
            destination or "",
            pushing.PushOptions(format=form, purge=purge, platforms=session.platforms(platform) or None),
            emit,
        )
    for warning in result.warnings:
        session.warn(warning)
    if result.note and not quiet:
        session.note(result.note)
    click.echo(result.sent.descriptor.digest)
