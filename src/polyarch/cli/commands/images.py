"""`images`: list the images in the store."""

from typing import TYPE_CHECKING, Any

import click

from polyarch.cli import options
from polyarch.cli.formats import Row, show, since
from polyarch.cli.session import Session, pass_session
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
@click.option("--tree", is_flag=True, help="Show the platforms below each name (default)")
@click.option(
    "-f",
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=VALUE",
    help="Filter by reference=PATTERN, platform=PLATFORM, label=KEY[=VALUE] or dangling=true|false",
)
@click.option("--format", "form", metavar="FORMAT", help="Output format: table, json or a Go template")
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
    """List the images in the store, each with its platforms."""
    from polyarch.images import list as listing

    if quiet and not (name or filters or everything):
        # The ids are in index.json: no other file has to be read.
        _print_ids((descriptor.digest for _, descriptor in sorted(session.store.tagged().items())), no_trunc)
        return
    dangling = any(condition.startswith("dangling=") for condition in filters)
    listed: Sequence[ListedImage] = listing.list_images(session.store, unnamed=everything or dangling)
    if name or filters:
        from polyarch.cli.image_filters import filtered

        listed = filtered(session.store, listed, (*filters, *([f"reference={name}"] if name else [])))
    if quiet:
        _print_ids((image.digest for image in listed), no_trunc)
        return
    wide = digests or no_trunc
    show(
        form,
        _rows(session, listed, no_trunc, form == "json" or "Created" in (form or "")),
        lambda: tables.render(("IMAGE", "DIGEST" if wide else "ID", "SIZE"), _tree(listed, everything, wide)),
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
            label = _attestation(image, entry) if entry.attestation else entry.platform or "(no platform)"
            yield (
                f"{branch} {label}",
                entry.digest if wide else text.short_digest(entry.digest),
                text.size(entry.size) if entry.present else "not here",
            )


# The beginnings of predicate types, and what they are called.
_KINDS = (
    ("https://slsa.dev/provenance/", "provenance"),
    ("https://spdx.dev/", "SBOM"),
    ("https://cyclonedx.org/", "SBOM"),
)


def _attestation(image: "ListedImage", entry: "ListedPlatform") -> str:
    """An attestation in words: `attestation of linux/amd64: SBOM, provenance`."""
    subject = next((other.platform for other in image.platforms if other.digest == entry.about), "")
    kinds = dict.fromkeys(
        next((called for start, called in _KINDS if kind.startswith(start)), text.plain(kind)) for kind in entry.kinds
    )
    return f"attestation{f' of {subject}' if subject else ''}{': ' if kinds else ''}{', '.join(kinds)}"


def _rows(session: Session, images: "Sequence[ListedImage]", no_trunc: bool, with_dates: bool) -> "Iterator[Row]":
    from polyarch.oci import reference as references

    for image in images:
        reference = references.parse(image.name) if image.name else None
        shown = [entry for entry in image.platforms if not entry.attestation]
        # The date is in the config, one more file to read for each image: read it only if it is shown.
        created = _created(session.store, image) if with_dates else ""
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
                "Attestations": len(image.platforms) - len(shown),
                "CreatedAt": created,
                "CreatedSince": since(created) if with_dates else "",
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
