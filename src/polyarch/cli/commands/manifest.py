"""`manifest`: create and edit multi-platform indexes, which docker calls manifest lists."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from polyarch.cli import options
from polyarch.cli.groups import LazyGroup
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UsageError

if TYPE_CHECKING:
    from polyarch.indexes.create import Changed
    from polyarch.oci.descriptor import Descriptor
    from polyarch.oci.index import PlatformEdit

COMMANDS = {
    "Commands": {
        "add": ("manifest:add", "Add an image to a list"),
        "annotate": ("manifest:annotate", "Change the platform or the annotations of an entry, or of the list"),
        "create": ("manifest:create", "Create a list of images"),
        "diff": ("manifest_show:diff", "Show the differences between two lists"),
        "exists": ("manifest_show:exists", "Check whether a list is in the store"),
        "inspect": ("manifest_show:inspect", "Show an index or a manifest, in the store or a registry"),
        "ls": ("manifest_show:ls", "List the indexes in the store"),
        "push": ("manifest_push:push", "Push a list with its images to a registry"),
        "remove": ("manifest:remove", "Remove an entry from a list"),
        "rm": ("manifest:rm", "Remove lists from the store"),
    }
}
manifest = LazyGroup(
    "manifest",
    sections=COMMANDS,
    help="""Create, edit, compare and push multi-platform indexes.

    A list is a multi-platform index, as docker calls it.
    """,
)

_annotation = click.option("--annotation", "annotations", multiple=True, metavar="KEY=VALUE", help="Set an annotation")
format_ = click.option(
    "--format",
    "form",
    type=click.Choice(["oci", "docker"]),
    help="Media types of the list (default: those of the members)",
)
# Podman's flag to add all images of an index, which is always done here.
all_ = click.option("--all", "everything", is_flag=True, hidden=True, help="Accepted for compatibility with podman")
_duplicates = click.option("--allow-duplicates", is_flag=True, help="Allow two images for one platform")


def _platform_options(function: Any) -> Any:
    for option in (
        click.option("--os-features", multiple=True, metavar="FEATURE", help="Set the OS features; '' removes them"),
        click.option("--os-version", metavar="VERSION", help="Set the OS version; '' removes it"),
        click.option("--variant", metavar="VARIANT", help="Set the architecture variant; '' removes it"),
        click.option("--arch", metavar="ARCH", help="Set the architecture"),
        click.option("--os", "system", metavar="OS", help="Set the operating system"),
    ):
        function = option(function)
    return function


@click.command("create")
@click.argument("name", metavar="LIST", shell_complete=options.complete_image)
@click.argument("members", nargs=-1, metavar="[MANIFEST...]", shell_complete=options.complete_image)
@click.option("-a", "--amend", is_flag=True, help="Add to an existing list; replace entries for the same platforms")
@all_
@_duplicates
@_annotation
@format_
@options.insecure
@pass_session
def create(
    session: Session,
    name: str,
    members: tuple[str, ...],
    amend: bool,
    everything: bool,
    allow_duplicates: bool,
    annotations: tuple[str, ...],
    form: str | None,
    insecure: bool,
) -> None:
    """Create LIST from images in the store, in registries, in layouts (oci-layout://DIR[:TAG]) and in archives.

    An archive is oci-archive:FILE. The images of an index are added one by one, with their attestations.
    """
    from polyarch.indexes import create as creating

    result = creating.create(
        session.places([name, *members] if insecure else ()),
        name,
        members,
        creating.CreateOptions(
            amend=amend, allow_duplicates=allow_duplicates, annotations=_pairs(annotations), format=form
        ),
    )
    _report(session, result)
    click.echo(f"Created manifest list {result.name}")


@click.command("add")
@click.argument("name", metavar="LIST", shell_complete=options.complete_image)
@click.argument("member", metavar="MANIFEST", shell_complete=options.complete_image)
@_platform_options
@_annotation
@_duplicates
@all_
@options.insecure
@pass_session
def add(
    session: Session,
    /,
    name: str,
    member: str,
    annotations: tuple[str, ...],
    allow_duplicates: bool,
    everything: bool,
    insecure: bool,
    **platform: Any,
) -> None:
    """Add an image, or all images of an index, to LIST."""
    from polyarch.indexes import create as creating

    result = creating.add(
        session.places([name, member] if insecure else ()),
        name,
        member,
        _edit(platform),
        _pairs(annotations),
        allow_duplicates=allow_duplicates,
    )
    _report(session, result)
    click.echo(result.descriptor.digest)


@click.command("annotate")
@click.argument("name", metavar="LIST", shell_complete=options.complete_image)
@click.argument("member", required=False, metavar="[MANIFEST|DIGEST|PLATFORM]")
@_platform_options
@_annotation
@click.option("--index", "on_index", is_flag=True, help="Set --annotation on the list itself, not on an entry")
@options.insecure
@pass_session
def annotate(
    session: Session,
    /,
    name: str,
    member: str | None,
    annotations: tuple[str, ...],
    on_index: bool,
    insecure: bool,
    **platform: Any,
) -> None:
    """Change the platform or the annotations of an entry of LIST.

    An image that is not in LIST becomes the entry for the platform given by --os, --arch and --variant.
    """
    from polyarch.indexes import edit as editing

    places = session.places([name, *([member] if member else [])] if insecure else ())
    if on_index:
        if member or not _edit(platform).is_empty:
            raise UsageError(
                "--index annotates the list itself, not an entry",
                "use: manifest annotate --index --annotation K=V LIST",
            )
        result = editing.annotate_list(places, name, _pairs(annotations))
    elif not member:
        raise UsageError("missing entry of the list", "name an image, a digest or a platform, or use --index")
    else:
        result = editing.annotate(places, name, member, _edit(platform), _pairs(annotations))
    _report(session, result)


@click.command("remove")
@click.argument("name", metavar="LIST", shell_complete=options.complete_image)
@click.argument("member", metavar="MANIFEST|DIGEST|PLATFORM")
@pass_session
def remove(session: Session, name: str, member: str) -> None:
    """Remove an entry from LIST, with its attestations."""
    from polyarch.indexes import edit as editing

    result = editing.remove(session.places(), name, member)
    _report(session, result)
    click.echo(result.descriptor.digest)


@click.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="LIST...", shell_complete=options.complete_image)
@pass_session
def rm(session: Session, names: tuple[str, ...]) -> None:
    """Remove lists from the store. Images that have their own names stay."""
    from polyarch.images import names as naming
    from polyarch.indexes import lists

    for removed in lists.rm(session.store, names):
        click.echo(f"Untagged: {naming.familiar(removed.name)}")


def _pairs(words: tuple[str, ...]) -> Mapping[str, str]:
    pairs: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(f"invalid annotation {word!r}", "expected KEY=VALUE")
        pairs[key] = value
    return pairs


def _edit(platform: Mapping[str, Any]) -> "PlatformEdit":
    from polyarch.oci.index import PlatformEdit

    features = tuple(part for word in platform["os_features"] for part in word.split(",") if part)
    return PlatformEdit(
        os=platform["system"],
        architecture=platform["arch"],
        variant=platform["variant"],
        os_version=platform["os_version"],
        # An empty value removes them.
        os_features=features if platform["os_features"] else None,
    )


def _report(session: Session, result: "Changed") -> None:
    """Print the removed and the added entries, and warnings, on standard error."""
    for sign, entries in (("-", result.removed), ("+", result.added)):
        for entry in entries:
            session.note(f"{sign} {_described(entry)} {entry.digest}")
    for warning in result.warnings:
        session.warn(warning)


def _described(entry: "Descriptor") -> str:
    return "attestation" if entry.is_attestation else str(entry.platform or "no platform")
