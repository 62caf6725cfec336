"""`page`: pages that show images and their platforms, as files."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session
from polyarch.errors import PolyarchError, UnsupportedError, UsageError

if TYPE_CHECKING:
    from polyarch.oci.descriptor import Descriptor
    from polyarch.oci.reference import Reference


@click.command("page")
@click.argument("images", nargs=-1, metavar="IMAGE...", shell_complete=options.complete_image)
@click.option("-o", "--output", metavar="DIR", required=True, help="Directory to write to, made if it is absent")
@click.option("-a", "--all", "everything", is_flag=True, help="Write pages of all images that have a name")
@pass_session
def page(session: Session, images: tuple[str, ...], output: str, everything: bool) -> None:
    """Write pages that show images of the store and their platforms, to look at in a browser.

    Each platform is checked, and its layers, config, packages, attestations and signatures are shown. The directory
    needs no server and loads nothing from elsewhere. `polyarch serve` shows the same pages.
    """
    if images and everything:
        raise UsageError("page takes images or --all, not both")
    if not images and not everything:
        raise UsageError("page needs images, or --all", "as in: polyarch page app:1 -o pages")
    try:
        from polyarch.page import files
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            f"page needs the Python package {error.name}", "install it with `pip install 'polyarch[serve]'`"
        ) from error
    chosen = _all(session) if everything else [_found(session, name) for name in images]
    directory = Path(output)
    count = files.write(session.store, files.ChosenImages(session.store, chosen), directory, session.now())
    click.echo(f"Wrote {count} pages; open {directory / 'index.html'}")


def _all(session: Session) -> "list[tuple[Reference, Descriptor]]":
    from polyarch.oci import reference as references

    return [(references.parse(name), root) for name, root in sorted(session.store.tagged().items())]


def _found(session: Session, name: str) -> "tuple[Reference, Descriptor]":
    from polyarch.images import names
    from polyarch.oci import reference as references

    image = names.find(session.store, name)
    if not image.name:
        raise PolyarchError(f"{name} has no name that a page could show", f"give it one: polyarch tag {name} NAME")
    reference = references.parse(image.name)
    if image.member is not None:
        reference = reference.with_digest(image.descriptor.digest)
    return reference, image.descriptor
