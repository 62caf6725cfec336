"""`image prune`: remove images without a name, or with --all every image that meets the filters."""

import sys
from collections.abc import Iterable

import click

from polyarch.cli import moments
from polyarch.cli.image_filters import has_label
from polyarch.cli.session import Session, pass_session
from polyarch.errors import PolyarchError, UsageError
from polyarch.images.list import ListedImage, created, list_images
from polyarch.oci import times
from polyarch.render import text

_HINT = "filters: until=AGE, label=KEY[=VALUE], label!=KEY[=VALUE], dangling=true|false"


@click.command("prune")
@click.option("-a", "--all", "everything", is_flag=True, help="Remove images that have a name, too")
@click.option("-f", "--force", is_flag=True, help="Remove; on a terminal, prune without it only lists")
@click.option("--dry-run", is_flag=True, help="Only list what would be removed")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=VALUE",
    help="Remove only images older than until=AGE, with label=KEY[=VALUE], without label!=KEY[=VALUE]; repeatable",
)
@pass_session
def prune(session: Session, everything: bool, force: bool, dry_run: bool, filters: tuple[str, ...]) -> int:
    """Remove images without a name, or with --all every image that meets the filters.

    No container keeps an image in use. On a terminal, without -f, only lists what would be removed.
    """
    from polyarch.images import remove

    rehearsal = dry_run or (sys.stdout.isatty() and not force)
    chosen = [image for image in list_images(session.store, unnamed=True) if everything or not image.name]
    chosen = [*_filtered(session, chosen, filters)]
    texts = [image.name or str(image.digest) for image in chosen]
    failed = 0
    if rehearsal:
        for image in chosen:
            click.echo(f"Would remove image {_shown(image)} {text.size(image.size)}")
        if chosen and not dry_run:
            session.note("nothing was removed; 'polyarch image prune --force' removes it")
        return 0
    before = _size(session)
    for result in remove.remove_all(session.store, texts, force=True):
        if isinstance(result, PolyarchError):
            session.error(result)
            failed += 1
            continue
        for name in result.untagged:
            click.echo(f"untagged: {name}")
        for digest in result.deleted:
            click.echo(f"deleted: {digest}")
    freed = before - _size(session)
    click.echo(f"Total reclaimed space: {text.size(max(freed, 0))}")
    return 1 if failed else 0


def _size(session: Session) -> int:
    return sum(item.size for item in session.store.maintenance.usage().items)


def _shown(image: ListedImage) -> str:
    from polyarch.images import names

    return names.familiar(image.name) if image.name else str(image.digest)


def _filtered(session: Session, images: Iterable[ListedImage], filters: Iterable[str]) -> Iterable[ListedImage]:
    """The images that meet all filters. Raises UsageError: a filter that is ignored would remove too much."""
    for condition in filters:
        key, equals, value = condition.partition("=")
        if key == "dangling" and value.lower() in ("1", "t", "true", "0", "f", "false"):
            if value.lower() in ("1", "t", "true"):
                images = [image for image in images if not image.name]
        elif key == "until":
            limit = moments.parse(value, session.surroundings().now)
            images = [image for image in images if _made(session, image) < limit]
        elif key in ("label", "label!") and equals:
            images = [image for image in images if has_label(session.store, image, value) == (key == "label")]
        else:
            raise UsageError(
                f"unknown filter {condition!r}", "filters: until=AGE, label=KEY[=VALUE], label!=KEY[=VALUE]"
            )
    return images


def _made(session: Session, image: ListedImage) -> float:
    """When the newest of its platforms was made, in seconds since 1970; 0 if it is not said."""
    known = [times.of_rfc3339(created(session.store, entry)) for entry in image.platforms if not entry.attestation]
    return max((moment for moment in known if moment is not None), default=0.0)
