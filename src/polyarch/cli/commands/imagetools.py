"""`buildx imagetools`: create and inspect images in registries, as buildx does."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyarch.cli import options
from polyarch.cli.formats import show_document
from polyarch.cli.groups import LazyGroup
from polyarch.cli.session import Session, pass_session
from polyarch.errors import NotFoundError

if TYPE_CHECKING:
    from polyarch.indexes.attestations import Attested
    from polyarch.indexes.inspect import Inspected

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
    if form:
        # Statements can have megabytes, and each is a request: read them only if the template uses them.
        with_statements = form == "json" or any(part in form for part in ("Provenance", "SBOM", "json .}", "json . "))
        attested = tools.attested(places, name, image) if with_statements else None
        show_document(form, [_fields(image, attested)], always_list=False)
        return
    click.echo("\n".join(_described(image)))


def _fields(image: "Inspected", attested: "Attested | None") -> dict[str, Any]:
    """The keys of buildx's JSON, in its order: `image` is a mapping by platform if there are several images."""
    from polyarch.oci import descriptor as descriptors

    manifest = descriptors.to_dict(image.descriptor) | image.document.decode()
    configs = {
        str(part.descriptor.platform or part.config.platform): dict(part.config.document)
        for part in image.parts
        if part.config is not None and not part.descriptor.is_attestation
    }

    def shown(by_platform: Mapping[str, Any]) -> Any:
        if len(configs) > 1:
            return by_platform or None
        return next(iter(by_platform.values()), None)

    fields = {"name": str(image.reference or image.name), "manifest": manifest, "image": shown(configs)}
    if attested is not None:
        fields |= {"Provenance": shown(attested.provenance), "SBOM": shown(attested.sbom)}
    return {key: value for key, value in fields.items() if value or key in ("Provenance", "SBOM")}


def _described(image: "Inspected") -> list[str]:
    from polyarch.oci.document import Index

    name = str(image.reference or image.name)
    lines = [f"Name:      {name}", f"MediaType: {image.document.media_type}", f"Digest:    {image.descriptor.digest}"]
    if not isinstance(image.document, Index):
        return lines
    base = str(image.reference.repository) if image.reference else image.name
    lines += ["", "Manifests:"]
    for part in image.parts:
        entry = part.descriptor
        lines += [
            f"  Name:        {base}@{entry.digest}",
            f"  MediaType:   {entry.media_type}",
            f"  Platform:    {entry.platform or ''}",
        ]
        if entry.annotations:
            lines.append("  Annotations:")
            lines += [f"    {key}: {value}" for key, value in sorted(entry.annotations.items())]
        lines.append("")
    return lines[:-1]


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {file}", "-f takes a file with a descriptor as JSON") from error
