"""`images`, `tag`, `rmi`, `history`: the images of the store."""

from typing import TYPE_CHECKING, Any

import click

from polyarch.cli import options
from polyarch.cli.formats import Row, show
from polyarch.cli.session import Session, pass_session
from polyarch.errors import PolyarchError, UsageError
from polyarch.render import tables, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from polyarch.images.list import ListedImage, ListedPlatform
    from polyarch.store import Store

_TITLES = {"ID": "IMAGE ID", "CreatedSince": "CREATED", "CreatedAt": "CREATED AT"}


@click.command("images")
@click.argument("name", required=False, metavar="[REPOSITORY[:TAG]]", shell_complete=options.complete_image)
@click.option("-a", "--all", "everything", is_flag=True, help="Show attestations, and images without a name")
@click.option("--digests", is_flag=True, help="Show digests in full")
@click.option("--no-trunc", is_flag=True, help="Do not shorten ids")
@click.option("-q", "--quiet", is_flag=True, help="Print ids only")
@click.option("--tree", is_flag=True, help="Show the platforms below each name (this is the default)")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="reference=, platform=, dangling=")
@click.option("--format", "form", metavar="FORMAT", help="'table', 'json', or a Go template")
@pass_session
def images(
    session: Session,
    name: str | None,
    everything: bool,
    digests: bool,
    no_trunc: bool,
    quiet: bool,
    tree: bool,
    filters: tuple[str, ...],
    form: str | None,
) -> None:
    """List the images of the store, each name with its platforms below it."""
    from polyarch.images import list as listing

    if quiet and not (name or filters or everything):
        # The ids stand in index.json: no other file has to be read.
        _print_ids((descriptor.digest for _, descriptor in sorted(session.store.tagged().items())), no_trunc)
        return
    dangling = any(condition.startswith("dangling=") for condition in filters)
    chosen = _filtered(listing.list_images(session.store, unnamed=everything or dangling), name, filters)
    if quiet:
        _print_ids((image.digest for image in chosen), no_trunc)
        return
    wide = digests or no_trunc
    show(
        form,
        _rows(session, chosen, no_trunc, form == "json" or "Created" in (form or "")),
        lambda: tables.render(("IMAGE", "DIGEST" if wide else "ID", "SIZE"), _tree(chosen, everything, wide)),
        _TITLES,
    )


def _print_ids(digests: "Iterable[str]", no_trunc: bool) -> None:
    ids = dict.fromkeys(digest if no_trunc else text.short_digest(digest) for digest in digests)
    click.echo("".join(f"{shown}\n" for shown in ids), nl=False)


def _tree(images: "Sequence[ListedImage]", everything: bool, wide: bool) -> "Iterator[tuple[str, str, str]]":
    from polyarch.images import names

    for image in images:
        digest = image.digest if wide else text.short_digest(image.digest)
        if not image.is_index:
            platform = f" ({image.platforms[0].platform})" if image.platforms[0].platform else ""
            size = text.size(image.size) if image.platforms[0].present else "missing"
            yield names.familiar(image.name) + platform, digest, size
            continue
        yield names.familiar(image.name), digest, text.size(image.size)
        shown = [entry for entry in image.platforms if everything or not entry.attestation]
        for entry in shown:
            branch = "└─" if entry is shown[-1] else "├─"
            label = "attestation" if entry.attestation else entry.platform or "(no platform)"
            yield (
                f"{branch} {label}",
                entry.digest if wide else text.short_digest(entry.digest),
                text.size(entry.size) if entry.present else "not here",
            )


def _rows(session: Session, images: "Sequence[ListedImage]", no_trunc: bool, with_dates: bool) -> "Iterator[Row]":
    from polyarch.oci import reference as references

    for image in images:
        reference = references.parse(image.name) if image.name else None
        shown = [entry for entry in image.platforms if not entry.attestation]
        # When an image was made stands in its config: one more file to read for each, so only where it is asked for.
        made = _created(session.store, image) if with_dates else ""
        yield (
            {
                "Name": reference.familiar() if reference else "<none>",
                "Repository": reference.repository.familiar() if reference else "<none>",
                "Tag": (reference.tag if reference else "") or "<none>",
                "ID": image.digest if no_trunc else text.short_digest(image.digest),
                "Digest": image.digest,
                "Size": text.size(image.size),
                "Bytes": image.size,
                "Platforms": [_platform_row(entry) for entry in shown],
                "CreatedAt": made,
                "CreatedSince": _since(session, made) if with_dates else "",
            }
        )


def _platform_row(entry: "ListedPlatform") -> dict[str, Any]:
    return {"Platform": entry.platform, "Digest": entry.digest, "Size": entry.size, "Available": entry.present}


def _created(store: "Store", image: "ListedImage") -> str:
    from polyarch.images import list as listing

    for entry in image.platforms:
        if entry.present and not entry.attestation:
            return listing.created(store, entry)
    return ""


def _since(session: Session, created: str) -> str:
    import calendar
    import time

    try:
        moment = calendar.timegm(time.strptime(created[:19], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return "N/A"
    return text.age(max(time.time() - moment, 0))


def _filtered(images: "Sequence[ListedImage]", name: str | None, filters: tuple[str, ...]) -> "Sequence[ListedImage]":
    wanted = [*filters, *([f"reference={name}"] if name else [])]
    for condition in wanted:
        key, equals, value = condition.partition("=")
        if not equals or key not in ("reference", "platform", "dangling"):
            raise UsageError(
                f"images has no filter {condition!r}", "there are reference=PATTERN, platform=P and dangling=true|false"
            )
        images = [image for image in images if _fits(image, key, value)]
    return images


def _fits(image: "ListedImage", key: str, value: str) -> bool:
    from fnmatch import fnmatchcase

    from polyarch.images import names
    from polyarch.oci import platform as platforms

    if key == "dangling":
        return (value.lower() in ("true", "1")) == (not image.name)
    if key == "platform":
        wanted = str(platforms.parse(value))
        return any(entry.platform == wanted for entry in image.platforms)
    short = names.familiar(image.name)
    repository = short.rpartition(":")[0] if ":" in short.rpartition("/")[2] else short
    return any(fnmatchcase(candidate, value) for candidate in (short, repository, image.name))


@click.command("tag")
@click.argument("source", metavar="SOURCE", shell_complete=options.complete_image)
@click.argument("target", metavar="TARGET")
@pass_session
def tag(session: Session, source: str, target: str) -> None:
    """Let the name TARGET point at the image SOURCE, too."""
    from polyarch.images import tag as tagging

    tagging.tag(session.store, source, target)


@click.command("rmi")
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...", shell_complete=options.complete_image)
@click.option("-f", "--force", is_flag=True, help="Remove all names of an id; ignore images that do not exist")
@click.option("--no-prune", is_flag=True, help="Keep the content that no name needs any more")
@options.platform(several=True, help="Remove only the content for these platforms, keep the index")
@pass_session
def rmi(session: Session, names: tuple[str, ...], force: bool, no_prune: bool, platform: tuple[str, ...]) -> int:
    """Remove names of images, and the content that nothing needs any more."""
    from polyarch.images import remove

    chosen = session.platforms(platform)
    failed = False
    for removed in remove.remove_all(session.store, names, chosen, force=force, prune=not no_prune):
        if isinstance(removed, PolyarchError):
            if len(names) == 1:
                raise removed
            # As docker does: the others go, the status says that one did not.
            session.error(removed)
            failed = True
            continue
        for gone in removed.untagged:
            click.echo(f"Untagged: {gone}")
        for digest in removed.deleted:
            click.echo(f"Deleted: {digest}")
    return 1 if failed else 0


@click.command("history")
@click.argument("name", metavar="IMAGE", shell_complete=options.complete_image)
@click.option("-H", "--human/--no-human", default=True, help="Print readable sizes and ages (default)")
@click.option("--no-trunc", is_flag=True, help="Do not shorten")
@click.option("-q", "--quiet", is_flag=True, help="Print layer digests only")
@options.platform(several=False, help="The platform (default: this machine's)")
@click.option("--format", "form", metavar="FORMAT", help="'table', 'json', or a Go template")
@pass_session
def history(
    session: Session,
    name: str,
    human: bool,
    no_trunc: bool,
    quiet: bool,
    platform: str | None,
    form: str | None,
) -> None:
    """Show the history of an image, the newest step first."""
    from polyarch.images import history as histories
    from polyarch.images import names
    from polyarch.transfer import choose

    found = names.find(session.store, name)
    names.require_here(session.store, found)
    image = choose.any_of(session.store, name, found.descriptor, session.platform(platform), session.host())
    steps = histories.history(image)
    if quiet:
        click.echo("".join(f"{step.layer or '<missing>'}\n" for step in steps), nl=False)
        return
    rows = [
        {
            "ID": (step.layer if no_trunc else text.short_digest(step.layer)) or "<missing>",
            "CreatedAt": step.created,
            "CreatedSince": _since(session, step.created) if human else step.created,
            "CreatedBy": step.created_by if no_trunc else text.clip(" ".join(step.created_by.split()), 45),
            "Size": text.size(step.size) if human else str(step.size),
            "Comment": step.comment,
        }
        for step in steps
    ]
    columns = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")
    titles = {"ID": "LAYER", "CreatedSince": "CREATED", "CreatedBy": "CREATED BY"}
    show(
        form,
        rows,
        lambda: tables.render(
            [titles.get(column, column.upper()) for column in columns],
            [[row[column] for column in columns] for row in rows],
        ),
        titles,
    )
