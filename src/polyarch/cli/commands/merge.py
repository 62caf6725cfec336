"""`merge`: combine images that were built separately into one index."""

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UsageError
from polyarch.render import tables


@click.command("merge")
@click.argument("sources", nargs=-1, required=True, metavar="DIR_OR_ARCHIVE...")
@click.option("-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="Name of the index; repeatable")
@click.option("--allow-duplicates", is_flag=True, help="Allow two images for one platform")
@options.progress
@pass_session
def merge(
    session: Session, sources: tuple[str, ...], tags: tuple[str, ...], allow_duplicates: bool, progress: str | None
) -> None:
    """Combine images that were built separately (build -o type=oci) into one index, without a registry.

    Reports labels, environment, entrypoint and other settings that differ between platforms.
    """
    from polyarch.indexes import merge as merging
    from polyarch.oci import index as indexes

    if not tags:
        raise UsageError("merge needs a name for the index", "give it with -t NAME:TAG")
    with session.display(progress, verb="Merging") as emit:
        result = merging.merge(session.places(), sources, tags, allow_duplicates=allow_duplicates, emit=emit)
    for changed in result.lists:
        for warning in changed.warnings:
            session.warn(warning)
    for drift in result.drift:
        session.warn(f"{drift.field} differs between platforms", tables.render((), drift.values).rstrip("\n"))
    for changed in result.lists:
        click.echo(f"{changed.name}: {indexes.describe(changed.index)}: {changed.descriptor.digest}")
