"""`save` and `load`: images as archives in files and streams."""

import sys
from pathlib import Path
from typing import Literal

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UsageError


@click.command("save")
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...", shell_complete=options.complete_image)
@click.option("-o", "--output", metavar="FILE", help="Write to FILE, compressed if its name ends in .gz or .zst")
@options.platform(several=True, help="Save only the images for these platforms (default: all)")
@click.option(
    "--format",
    "form",
    type=click.Choice(["docker-archive", "oci-archive"]),
    default="docker-archive",
    help="docker-archive: an OCI layout with docker's manifest.json (default); oci-archive: an OCI layout alone",
)
@click.option(
    "--compress", type=click.Choice(["none", "gzip", "zstd"]), help="Compression (default: by the extension of FILE)"
)
@options.progress
@pass_session
def save(
    session: Session,
    names: tuple[str, ...],
    output: str | None,
    platform: tuple[str, ...],
    form: str,
    compress: "Literal['none', 'gzip', 'zstd'] | None",
    progress: str | None,
) -> None:
    """Write images to an archive that docker load, podman, skopeo and polyarch load can read."""
    from polyarch.client import archives
    from polyarch.images import save as saving

    if output in (None, "-") and sys.stdout.isatty():
        raise UsageError(
            "refusing to write an archive to a terminal", "give a file with -o, or redirect standard output"
        )
    path = None if output in (None, "-") else Path(str(output))
    kind = compress or archives.by_ending(path)
    with (
        session.display(progress, verb="Saving") as emit,
        archives.archive_output(path or sys.stdout.buffer, kind) as sink,
    ):
        saving.save(
            session.store,
            session.registry(),
            names,
            sink,
            platforms=session.platforms(platform) or None,
            form="docker" if form == "docker-archive" else "oci",
            preferred=session.host(),
            emit=emit,
        )


@click.command("load")
@click.option("-i", "--input", "file", metavar="FILE|DIR", help="Read this archive or layout (default: standard input)")
@options.platform(several=True, help="Load only the images for these platforms (default: all)")
@click.option("-q", "--quiet", is_flag=True, help="Print only the names")
@options.progress
@pass_session
def load(session: Session, file: str | None, platform: tuple[str, ...], quiet: bool, progress: str | None) -> None:
    """Load images from an archive or a layout into the store.

    The archive may be docker's or OCI's, and compressed with gzip, zstd, xz or bzip2.
    """
    from polyarch.images import load as loading
    from polyarch.images import names

    if file in (None, "-") and sys.stdin.isatty():
        raise UsageError(
            "standard input is a terminal, not an archive", "name a file with -i, or redirect standard input"
        )
    source = sys.stdin.buffer if file in (None, "-") else Path(str(file))
    with (
        session.display("quiet" if quiet else progress, verb="Loading") as emit,
        loading.opened(source, session.spool, "standard input") as archive,
    ):
        loaded = loading.load(session.store, archive, session.platforms(platform) or None, emit)
    for image in loaded:
        shown = names.familiar(image.name) if image.name else image.descriptor.digest
        click.echo(shown if quiet else f"Loaded image{'' if image.name else ' ID'}: {shown}")
    kept = {descriptor.digest for descriptor in session.store.kept()}
    unnamed = [image.descriptor.digest for image in loaded if image.descriptor.digest in kept]
    if unnamed and not quiet:
        session.note(f"'polyarch images -a' lists unnamed images; 'polyarch tag {unnamed[0]} NAME' names this one")
