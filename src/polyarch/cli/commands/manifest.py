"""`manifest`: the multi-platform index made, edited, compared and pushed by hand."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from polyarch.cli import options
from polyarch.cli.formats import show, show_document
from polyarch.cli.groups import LazyGroup
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UsageError
from polyarch.render import tables, text

if TYPE_CHECKING:
    from polyarch.indexes.create import Changed
    from polyarch.oci.descriptor import Descriptor
    from polyarch.oci.index import PlatformEdit

COMMANDS = {
    "Commands": {
        "add": ("manifest:add", "Add an image to a list"),
        "annotate": ("manifest:annotate", "Change the platform or the annotations of an entry, or of the list"),
        "create": ("manifest:create", "Make a list of images"),
        "diff": ("manifest:diff", "Show what differs between two lists"),
        "exists": ("manifest:exists", "Check whether a list is in the store"),
        "inspect": ("manifest:inspect", "Show an index or a manifest, of the store or a registry"),
        "ls": ("manifest:ls", "List the indexes of the store"),
        "push": ("manifest:push", "Send a list with its images to a registry"),
        "remove": ("manifest:remove", "Remove an entry from a list"),
        "rm": ("manifest:rm", "Remove lists from the store"),
    }
}
manifest = LazyGroup("manifest", sections=COMMANDS, help="Make, edit, compare and push multi-platform indexes.")

_annotation = click.option("--annotation", "annotations", multiple=True, metavar="KEY=VALUE", help="Set an annotation")
_format = click.option(
    "--format", "form", type=click.Choice(["oci", "docker"]), help="The format (default: that of the members)"
)
_duplicates = click.option("--allow-duplicates", is_flag=True, help="Allow two images for one platform")


def _platform_options(function: Any) -> Any:
    for option in (
        click.option("--os-features", multiple=True, metavar="FEATURE", help="Set the OS's features; '' removes them"),
        click.option("--os-version", metavar="VERSION", help="Set the OS's version; '' removes it"),
        click.option("--variant", metavar="VARIANT", help="Set the architecture's variant; '' removes it"),
        click.option("--arch", metavar="ARCH", help="Set the architecture"),
        click.option("--os", "system", metavar="OS", help="Set the operating system"),
    ):
        function = option(function)
    return function


@click.command("create")
@click.argument("name", metavar="LIST", shell_complete=options.complete_image)
@click.argument("members", nargs=-1, metavar="[MANIFEST...]", shell_complete=options.complete_image)
@click.option("-a", "--amend", is_flag=True, help="Add to a list that exists, or renew what it has")
@click.option("--all", "everything", is_flag=True, hidden=True, help="Podman's: an index is always taken whole")
@_duplicates
@_annotation
@_format
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
    """Create LIST from images of the store, of registries, of layouts (oci-layout://DIR[:TAG]) and archives.

    The images of an index are added one by one, with their attestations.
    """
    from polyarch.indexes import create as creating

    done = creating.create(
        session.places([name, *members] if insecure else ()),
        name,
        members,
        creating.CreateOptions(
            amend=amend, allow_duplicates=allow_duplicates, annotations=_pairs(annotations), format=form
        ),
    )
    _tell(session, done)
    click.echo(f"Created manifest list {done.name}")


@click.command("add")
@click.argument("name", metavar="LIST", shell_complete=options.complete_image)
@click.argument("member", metavar="MANIFEST", shell_complete=options.complete_image)
@_platform_options
@_annotation
@_duplicates
@click.option("--all", "everything", is_flag=True, hidden=True, help="Podman's: an index is always taken whole")
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

    done = creating.add(
        session.places([name, member] if insecure else ()),
        name,
        member,
        _edit(platform),
        _pairs(annotations),
        allow_duplicates=allow_duplicates,
    )
    _tell(session, done)
    click.echo(done.descriptor.digest)


@click.command("annotate")
@click.argument("name", metavar="LIST", shell_complete=options.complete_image)
@click.argument("member", required=False, metavar="[MANIFEST|DIGEST|PLATFORM]")
@_platform_options
@_annotation
@click.option("--index", "on_index", is_flag=True, help="The annotations are the list's own")
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

    An image that is not in LIST becomes its entry for the platform that --os, --arch and --variant name.
    """
    from polyarch.indexes import edit as editing

    places = session.places([name, *([member] if member else [])] if insecure else ())
    if on_index:
        if member or not _edit(platform).is_empty:
            raise UsageError(
                "--index annotates the list itself and takes no image",
                "use: manifest annotate --index --annotation K=V LIST",
            )
        done = editing.annotate_list(places, name, _pairs(annotations))
    elif not member:
        raise UsageError("no entry of the list is named", "name an image, a digest or a platform; or say --index")
    else:
        done = editing.annotate(places, name, member, _edit(platform), _pairs(annotations))
    _tell(session, done)


@click.command("remove")
@click.argument("name", metavar="LIST", shell_complete=options.complete_image)
@click.argument("member", metavar="MANIFEST|DIGEST|PLATFORM")
@pass_session
def remove(session: Session, name: str, member: str) -> None:
    """Remove an entry from LIST, with its attestations."""
    from polyarch.indexes import edit as editing

    done = editing.remove(session.places(), name, member)
    _tell(session, done)
    click.echo(done.descriptor.digest)


@click.command("inspect")
@click.argument("words", nargs=-1, required=True, metavar="[LIST] MANIFEST", shell_complete=options.complete_image)
@click.option("-v", "--verbose", is_flag=True, help="Show the manifests of the entries as well")
@options.format_
@options.insecure
@pass_session
def inspect(session: Session, words: tuple[str, ...], verbose: bool, form: str | None, insecure: bool) -> None:
    """Show an index or a manifest: the store's, else the registry's. With LIST, an entry of that list."""
    from polyarch.indexes import inspect as inspecting

    if len(words) > 2:
        raise UsageError(
            f"manifest inspect takes one or two names, not {len(words)}", "see 'polyarch manifest inspect -h'"
        )
    places = session.places(words if insecure else ())
    wanted = words[-1]
    if len(words) == 2:
        wanted = _entry_of(session, words[0], words[1])
    found = inspecting.inspect(places, wanted, deep=verbose)
    if verbose or (form and form != "json"):
        show_document(form, [inspecting.verbose(found) if verbose else found.document.decode()], always_list=False)
        return
    import msgspec

    # The bytes as they are, only spaced as docker spaces them: no field is lost on the way.
    click.echo(found.document.raw if form == "json" else msgspec.json.format(found.document.raw, indent=3))


def _entry_of(session: Session, name: str, word: str) -> str:
    from polyarch.errors import NotFoundError
    from polyarch.indexes import choose, lists
    from polyarch.oci import index as indexes

    index = lists.load(session.store, name)
    entries = choose.choose(session.places(), index, word).entries
    if not entries:
        raise NotFoundError(f"{name} has no entry {word}", f"it has {indexes.describe(index)}")
    return f"{lists.name_of(name).repository}@{entries[0].digest}"


@click.command("push")
@click.argument("name", metavar="LIST", shell_complete=options.complete_image)
@click.argument("destination", required=False, metavar="[DEST]")
@click.option("-p", "--purge", is_flag=True, help="Remove the list from the store when it has been sent")
@click.option("--all", "everything", is_flag=True, hidden=True, help="Podman's: members are always sent")
@options.platform(several=True, help="Send only the images for these platforms")
@_format
@click.option("-q", "--quiet", is_flag=True, help="Print the digest only")
@options.progress
@options.insecure
@pass_session
def push(
    session: Session,
    name: str,
    destination: str | None,
    purge: bool,
    everything: bool,
    platform: tuple[str, ...],
    form: str | None,
    quiet: bool,
    progress: str | None,
    insecure: bool,
) -> None:
    """Send LIST to its registry, or to DEST: its images first, then the list. Prints its digest."""
    from polyarch.indexes import push as pushing

    names = [name, *([destination] if destination else [])]
    wanted = session.platforms(platform) or None
    with session.display("quiet" if quiet else progress, verb="Pushing") as emit:
        done = pushing.push(
            session.places(names if insecure else ()),
            name,
            destination or "",
            pushing.PushOptions(format=form, purge=purge, platforms=wanted),
            emit,
        )
    for warning in done.warnings:
        session.warn(warning)
    if done.note and not quiet:
        session.note(done.note)
    click.echo(done.sent.descriptor.digest)


@click.command("ls")
@click.option("-q", "--quiet", is_flag=True, help="Print names only")
@click.option("--format", "form", metavar="FORMAT", help="'table', 'json', or a Go template")
@pass_session
def ls(session: Session, quiet: bool, form: str | None) -> None:
    """List the indexes of the store."""
    from polyarch.images import names
    from polyarch.indexes import lists

    found = lists.ls(session.store)
    if quiet:
        click.echo("".join(f"{names.familiar(listed.name)}\n" for listed in found), nl=False)
        return
    rows: list[dict[str, Any]] = [
        {
            "Name": names.familiar(listed.name),
            "ID": text.short_digest(listed.descriptor.digest),
            "Digest": listed.descriptor.digest,
            "Platforms": [str(platform or "none") for platform in listed.platforms],
            "Attestations": listed.attestations,
        }
        for listed in found
    ]
    show(
        form,
        rows,
        lambda: tables.render(
            ("NAME", "ID", "PLATFORMS"), [(row["Name"], row["ID"], ", ".join(row["Platforms"])) for row in rows]
        ),
        {},
    )


@click.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="LIST...", shell_complete=options.complete_image)
@pass_session
def rm(session: Session, names: tuple[str, ...]) -> None:
    """Remove lists from the store. Their images stay where they have names of their own."""
    from polyarch.images import names as naming
    from polyarch.indexes import lists

    for gone in lists.rm(session.store, names):
        click.echo(f"Untagged: {naming.familiar(gone.name)}")


@click.command("exists")
@click.argument("name", metavar="LIST", shell_complete=options.complete_image)
@pass_session
def exists(session: Session, name: str) -> int:
    """Exit with 0 if LIST is in the store, else with 1."""
    from polyarch.indexes import lists

    return 0 if lists.exists(session.store, name) else 1


@click.command("diff")
@click.argument("old", metavar="A", shell_complete=options.complete_image)
@click.argument("new", required=False, metavar="[B]", shell_complete=options.complete_image)
@click.option("--format", "form", metavar="FORMAT", help="'json', or a Go template, for each entry")
@options.insecure
@pass_session
def diff(session: Session, old: str, new: str | None, form: str | None, insecure: bool) -> int:
    """Show the entries added, removed and changed from A to B. Without B: from the registry's A to the store's.

    Exits with 0 where there is no difference, with 1 where there is one.
    """
    from polyarch.indexes import diff as differing

    names = [old, *([new] if new else [])]
    first, second = (old, new) if new else (f"docker://{old}", old)
    compared = differing.diff(session.places(names if insecure else ()), first, second)
    rows: list[dict[str, Any]] = [
        {
            "Change": entry.change,
            "Entry": entry.subject,
            "Old": entry.old.digest if entry.old else "",
            "New": entry.new.digest if entry.new else "",
            "Fields": list(entry.fields),
        }
        for entry in compared.entries
    ]
    signs = {"added": "+", "removed": "-", "changed": "~"}

    def described() -> str:
        lines = [
            (
                f"{signs.get(row['Change'], '?')} {row['Entry']}",
                _arrow(row["Old"], row["New"]),
                ", ".join(row["Fields"]),
            )
            for row in rows
        ]
        lines += [(f"~ annotation {key}", _arrow(was or "", now or ""), "") for key, was, now in compared.annotations]
        return tables.render((), lines)

    show(form, rows, described, {})
    return 1 if rows or compared.annotations else 0


def _arrow(old: str, new: str) -> str:
    short = [text.short_digest(word) if word.startswith("sha256:") else word for word in (old, new) if word]
    return " → ".join(dict.fromkeys(short))


def _pairs(words: tuple[str, ...]) -> Mapping[str, str]:
    pairs: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(f"{word!r} is not an annotation", "an annotation reads KEY=VALUE")
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
        # An empty value takes them away.
        os_features=features if platform["os_features"] else None,
    )


def _tell(session: Session, done: "Changed") -> None:
    """What went and what came, on standard error: the list's digest alone would not say it."""
    for sign, entries in (("-", done.removed), ("+", done.added)):
        for entry in entries:
            session.note(f"{sign} {_described(entry)} {entry.digest}")
    for warning in done.warnings:
        session.warn(warning)


def _described(entry: "Descriptor") -> str:
    return "attestation" if entry.is_attestation else str(entry.platform or "no platform")
