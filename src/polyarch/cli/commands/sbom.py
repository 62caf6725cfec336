"""`sbom`: the packages of an image, as a table or as a document of SPDX or CycloneDX."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from polyarch.cli import options
from polyarch.cli.session import Session, pass_session

if TYPE_CHECKING:
    from polyarch.attest.document import Sbom

_ENDINGS = (".spdx.json", ".cdx.json", ".json", ".txt")


@click.command("sbom")
@click.argument("image", metavar="IMAGE|LAYOUT|ARCHIVE", shell_complete=options.complete_image)
@options.platform(several=True, help="Platforms, or all (default: all for a table, else that of this machine)")
@click.option(
    "--format",
    "form",
    type=click.Choice(["spdx-json", "cyclonedx-json", "table"]),
    default="table",
    help="Output format (default: table)",
)
@click.option("-o", "--output", metavar="FILE", help="Write to FILE; for several documents, one file for each platform")
@options.progress
@options.insecure
@pass_session
def sbom(
    session: Session,
    image: str,
    platform: tuple[str, ...],
    form: str,
    output: str | None,
    progress: str | None,
    insecure: bool,
) -> None:
    """List the packages in an image in the store, a registry, a layout or an archive, for every platform.

    Reads the databases of dpkg, apk and rpm, the metadata of Python, npm, Java and Ruby packages, and what Go and Rust
    programs say of themselves. Runs nothing. Writes the same bytes for the same image each time.
    """
    from polyarch.attest import sbom as sboms
    from polyarch.errors import UsageError

    wanted = None
    if platform and platform != ("all",):
        wanted = session.platforms(platform)
    elif not platform and form != "table":
        wanted = session.platforms([session.environment.default_platform]) or (session.host(),)
    with session.display(progress, verb="Reading") as emit:
        places = session.places([image] if insecure else ())
        bills = sboms.sbom(
            places, image, wanted, default=not platform, epoch=session.environment.source_date_epoch, emit=emit
        )
    for bill in bills:
        for note in bill.notes:
            click.echo(f"warning: {bill.platform}: {_plain(note)}", err=True)
    if form == "table":
        _write([(output, render(bills).encode())])
    elif len(bills) == 1:
        _write([(output, _document(bills[0], form))])
    elif output is None or output == "-":
        raise UsageError(
            f"there is one document for each of {len(bills)} platforms, and standard output takes one",
            "choose a platform with --platform, or name files with -o FILE",
        )
    else:
        _write([(_path_for(output, bill), _document(bill, form)) for bill in bills])


def render(bills: "tuple[Sbom, ...]") -> str:
    """The packages as tables, one for each platform."""
    from polyarch.render import tables

    parts: list[str] = []
    for bill in bills:
        if len(bills) > 1:
            parts.append(f"{bill.platform}\n")
        rows = [[_plain(cell) for cell in (one.name, one.version, one.kind, one.license)] for one in bill.packages]
        parts.append(tables.render(["NAME", "VERSION", "TYPE", "LICENSE"], rows) if rows else "no packages found\n")
    return "".join(parts)


def _plain(text: str) -> str:
    from polyarch.render import text as texts

    return texts.plain(text)


def _document(bill: "Sbom", form: str) -> bytes:
    return bill.to_spdx() if form == "spdx-json" else bill.to_cyclonedx()


def _path_for(output: str, bill: "Sbom") -> str:
    """The file of a platform: bom.spdx.json → bom.linux_arm64.spdx.json."""
    directory, slash, name = output.rpartition("/")
    ending = next((ending for ending in _ENDINGS if name.endswith(ending) and name != ending), "")
    middle = str(bill.platform).replace("/", "_")
    return f"{directory}{slash}{name.removesuffix(ending)}.{middle}{ending}"


def _write(files: list[tuple[str | None, bytes]]) -> None:
    from polyarch.errors import PolyarchError

    for path, content in files:
        if path is None or path == "-":
            click.echo(content, nl=False)
            continue
        try:
            Path(path).write_bytes(content)
        except OSError as error:
            raise PolyarchError(f"{path} cannot be written: {error.strerror}", "name a file in a directory") from error
