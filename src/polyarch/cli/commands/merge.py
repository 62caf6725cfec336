"""`merge`: what several machines built becomes one index."""

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UsageError
from polyarch.render import tables


@click.command("merge")
@click.argument("sources", nargs=-1, required=True, metavar="DIR_OR_ARCHIVE...")
@click.option("-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="The name of the index; repeatable")
@click.option("--allow-duplicates", is_flag=True, help="Allow two images for one platform")
@options.progress
@pass_session
def merge(
    session: Session, sources: tuple[str, ...], tags: tuple[str, ...], allow_duplicates: bool, progress: str | None
) -> None:
    """Make one index of images built separately (build -o type=oci), with no registry in between.

    What ought to be the same on every platform and is not (labels, environment, entrypoint …) is reported.
    """
    from polyarch.indexes import merge as merging
    from polyarch.oci import index as indexes

    if not tags:
        raise UsageError("merge needs a name for the index", "give it with -t NAME:TAG")
    with session.display(progress, verb="Merging") as emit:
        done = merging.merge(session.places(), sources, tags, allow_duplicates=allow_duplicates, emit=emit)
    for changed in done.lists:
        for warning in changed.warnings:
            session.warn(warning)
    for drift in done.drift:
        session.warn(f"{drift.field} differs between platforms", tables.render((), drift.values).rstrip("\n"))
    for changed in done.lists:
        click.echo(f"{changed.name}: {indexes.describe(changed.index)}: {changed.descriptor.digest}")
