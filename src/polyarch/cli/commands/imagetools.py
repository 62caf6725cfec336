"""`buildx imagetools`: create and inspect images in registries, as buildx does."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polyarch.cli import options
from polyarch.cli.groups import LazyGroup
from polyarch.cli.session import Session, pass_session
from polyarch.errors import NotFoundError

if TYPE_CHECKING:
    pass

COMMANDS = {
    "Commands": {
        "create": ("imagetools:create", "Create an index in a registry from other images"),
        "inspect": ("imagetools:inspect", "Show an image in a registry"),
    }
}
imagetools = LazyGroup("imagetools", sections=COMMANDS, help="Create and inspect images in registries.")


@click.command("create")
@click.argument("sources", nargs=-1, metavar="[SOURCE...]")
@click.option(
    "-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="Name of the result in a registry; repeatable"
)
@click.option(
    "-f", "--file", "files", multiple=True, metavar="FILE", help="Read a source, a descriptor as JSON, from FILE"
)
@click.option("--append", is_flag=True, help="Add the sources to the existing index")
@click.option("--dry-run", is_flag=True, help="Print the result without writing it")
@click.option("--annotation", "annotations", multiple=True, metavar="[TYPE:]KEY=VALUE", help="Set an annotation")
@click.option("-p", "--platform", multiple=True, metavar="PLATFORM", help="Use only the images for these platforms")
@click.option(
    "--prefer-index/--no-prefer-index", default=True, help="Create an index even for a single image (default)"
)
@click.option("--metadata-file", metavar="FILE", help="Write the descriptor of the result to FILE, as JSON")
@click.option("--builder", hidden=True, expose_value=False)
@options.progress
@options.insecure
@pass_session
def create(
    session: Session,
    sources: tuple[str, ...],
    tags: tuple[str, ...],
    files: tuple[str, ...],
    append: bool,
    dry_run: bool,
    annotations: tuple[str, ...],
    platform: tuple[str, ...],
    prefer_index: bool,
    metadata_file: str | None,
    progress: str | None,
    insecure: bool,
) -> None:
    """Create an index from SOURCEs and write it to a registry.

    A SOURCE is an image in a registry, a layout or an archive, a digest, or a descriptor as JSON.
    """
    import msgspec

    from polyarch.indexes import imagetools as tools

    all_sources = (*sources, *(_read(file) for file in files))
    tool_options = tools.ToolOptions(
        append=append,
        dry_run=dry_run,
        prefer_index=prefer_index,
        platforms=session.platforms(platform) or None,
        annotations=annotations,
    )
    with session.display(progress, verb="Creating") as emit:
        places = session.places([*all_sources, *tags] if insecure else ())
        result = tools.create(places, all_sources, tags, tool_options, emit)
    if metadata_file:
        Path(metadata_file).write_bytes(msgspec.json.format(msgspec.json.encode(result.metadata()), indent=2))
    if dry_run:
        click.echo(result.document.raw)


@click.command("inspect")
@click.argument("name", metavar="NAME")
@click.option("--raw", is_flag=True, help="Print the manifest or index unchanged")
@click.option(
    "--format", "form", metavar="TEMPLATE", help="A Go template: .Name, .Manifest, .Image, .Provenance, .SBOM"
)
@click.option("--builder", hidden=True, expose_value=False)
@options.insecure
@pass_session
def inspect(session: Session, name: str, raw: bool, form: str | None, insecure: bool) -> None:
    """Show the media type, digest and platforms of an image in a registry."""
    from polyarch.indexes import imagetools as tools

    places = session.places([name] if insecure else ())
    image = tools.inspect(places, name)
    if raw:
        sys.stdout.buffer.write(image.document.raw)
        return
    from polyarch.render import imagetools as rendering

    shown = rendering.rendered(
        form or "",
        image,
        name,
        lambda: tools.predicates(places, name, image, provenance=True).provenance,
        lambda: tools.predicates(places, name, image, sbom=True).sbom,
    )
    # buildx does not end the text of a template with a line break, which a terminal needs.
    click.echo(shown, nl=sys.stdout.isatty() and not shown.endswith("\n"))


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {file}", "-f takes a file with a descriptor as JSON") from error
