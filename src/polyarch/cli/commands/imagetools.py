"""`buildx imagetools`: images in registries, made of others and inspected, as buildx has it."""

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
        "create": ("imagetools:create", "Make an image of other images, in a registry"),
        "inspect": ("imagetools:inspect", "Show an image of a registry"),
    }
}
imagetools = LazyGroup("imagetools", sections=COMMANDS, help="Work on images in registries.")


@click.command("create")
@click.argument("sources", nargs=-1, metavar="[SOURCE...]")
@click.option("-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="Where to write it; repeatable")
@click.option(
    "-f", "--file", "files", multiple=True, metavar="FILE", help="Read a source, a descriptor as JSON, from FILE"
)
@click.option("--append", is_flag=True, help="Add to the image that is there")
@click.option("--dry-run", is_flag=True, help="Print the result, and write nothing")
@click.option("--annotation", "annotations", multiple=True, metavar="[TYPE:]KEY=VALUE", help="Set an annotation")
@click.option("-p", "--platform", multiple=True, metavar="PLATFORM", help="Take only the images for these platforms")
@click.option("--prefer-index/--no-prefer-index", default=True, help="Make an index even of one image (default)")
@click.option("--metadata-file", metavar="FILE", help="Write what was made, as JSON")
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
    """Make an image of SOURCEs: of registries, layouts, archives, digests, or descriptors as JSON."""
    import msgspec

    from polyarch.indexes import imagetools as tools

    every = (*sources, *(_read(file) for file in files))
    chosen = tools.ToolOptions(
        append=append,
        dry_run=dry_run,
        prefer_index=prefer_index,
        platforms=session.platforms(platform) or None,
        annotations=annotations,
    )
    with session.display(progress, verb="Creating") as emit:
        done = tools.create(session.places([*every, *tags] if insecure else ()), every, tags, chosen, emit)
    if metadata_file:
        Path(metadata_file).write_bytes(msgspec.json.format(msgspec.json.encode(done.metadata()), indent=2))
    if dry_run:
        click.echo(done.document.raw)


@click.command("inspect")
@click.argument("name", metavar="NAME")
@click.option("--raw", is_flag=True, help="Print the document as it is, byte for byte")
@click.option(
    "--format", "form", metavar="TEMPLATE", help="A Go template: .Name, .Manifest, .Image, .Provenance, .SBOM"
)
@click.option("--builder", hidden=True, expose_value=False)
@options.insecure
@pass_session
def inspect(session: Session, name: str, raw: bool, form: str | None, insecure: bool) -> None:
    """Show an image of a registry: its type, digest and platforms."""
    from polyarch.indexes import imagetools as tools

    places = session.places([name] if insecure else ())
    found = tools.inspect(places, name)
    if raw:
        sys.stdout.buffer.write(found.document.raw)
        return
    if form:
        # Statements are of megabytes, and each is a request: they are read where they are asked for.
        asked = form == "json" or any(word in form for word in ("Provenance", "SBOM", "json .}", "json . "))
        show_document(form, [_fields(found, tools.attested(places, name, found) if asked else None)], always_list=False)
        return
    click.echo("\n".join(_described(found)))


def _fields(found: "Inspected", attested: "Attested | None") -> dict[str, Any]:
    """With the keys of buildx's JSON, in its order; several images are shown by their platforms, one as it is."""
    from polyarch.oci import descriptor as descriptors

    manifest = descriptors.to_dict(found.descriptor) | found.document.decode()
    configs = {
        str(part.descriptor.platform or part.config.platform): dict(part.config.document)
        for part in found.parts
        if part.config is not None and not part.descriptor.is_attestation
    }

    def shown(by_platform: Mapping[str, Any]) -> Any:
        if len(configs) > 1:
            return by_platform or None
        return next(iter(by_platform.values()), None)

    fields = {"name": str(found.reference or found.name), "manifest": manifest, "image": shown(configs)}
    if attested is not None:
        fields |= {"Provenance": shown(attested.provenance), "SBOM": shown(attested.sbom)}
    return {key: value for key, value in fields.items() if value or key in ("Provenance", "SBOM")}


def _described(found: "Inspected") -> list[str]:
    from polyarch.oci.document import Index

    name = str(found.reference or found.name)
    lines = [f"Name:      {name}", f"MediaType: {found.document.media_type}", f"Digest:    {found.descriptor.digest}"]
    if not isinstance(found.document, Index):
        return lines
    base = str(found.reference.repository) if found.reference else found.name
    lines += ["", "Manifests:"]
    for part in found.parts:
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
