"""`rmi`: remove images, or platforms of them."""

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session
from polyarch.errors import PolyarchError


@click.command("rmi")
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...", shell_complete=options.complete_image)
@click.option("-f", "--force", is_flag=True, help="Remove all names of an id; ignore images that do not exist")
@click.option("--no-prune", is_flag=True, help="Keep the content that no name uses")
@options.platform(several=True, help="Remove only the content for these platforms, keep the index")
@pass_session
def rmi(session: Session, names: tuple[str, ...], force: bool, no_prune: bool, platform: tuple[str, ...]) -> int:
    """Remove image names, and the content that no other name uses."""
    from polyarch.images import remove

    platforms = session.platforms(platform)
    status = 0
    for result in remove.remove_all(session.store, names, platforms, force=force, prune=not no_prune):
        if isinstance(result, PolyarchError):
            if len(names) == 1:
                raise result
            # As docker: the other images are removed, and the exit status reports the failure.
            session.error(result)
            status = 1
            continue
        for name in result.untagged:
            click.echo(f"Untagged: {name}")
        for digest in result.deleted:
            click.echo(f"Deleted: {digest}")
    return status
