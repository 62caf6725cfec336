"""`manifest inspect`, `ls`, `exists` and `diff`: show multi-platform indexes."""

from typing import Any

import click

from polyarch.cli import options
from polyarch.cli.formats import show, show_document
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UsageError
from polyarch.render import tables, text


@click.command("inspect")
@click.argument("words", nargs=-1, required=True, metavar="[LIST] MANIFEST", shell_complete=options.complete_image)
@click.option("-v", "--verbose", is_flag=True, help="Also show the manifests of the entries")
@options.format_
@options.insecure
@pass_session
def inspect(session: Session, words: tuple[str, ...], verbose: bool, form: str | None, insecure: bool) -> None:
    """Show an index or a manifest from the store, or else from the registry. With LIST, show an entry of that list."""
    from polyarch.indexes import inspect as inspecting

    if len(words) > 2:
        raise UsageError(
            f"manifest inspect takes one or two names, not {len(words)}", "see 'polyarch manifest inspect --help'"
        )
    places = session.places(words if insecure else ())
    name = _entry_of(session, words[0], words[1]) if len(words) == 2 else words[0]
    inspected = inspecting.inspect(places, name, deep=verbose)
    if verbose or (form and form != "json"):
        show_document(
            form, [inspecting.verbose(inspected) if verbose else inspected.document.decode()], always_list=False
        )
        return
    import msgspec

    # The original bytes, indented as docker does: no field is lost.
    click.echo(inspected.document.raw if form == "json" else msgspec.json.format(inspected.document.raw, indent=3))


def _entry_of(session: Session, name: str, word: str) -> str:
    from polyarch.errors import NotFoundError
    from polyarch.indexes import choose, lists
    from polyarch.oci import index as indexes

    index = lists.load(session.store, name)
    entries = choose.choose(session.places(), index, word).entries
    if not entries:
        raise NotFoundError(f"{name} has no entry {word}", f"it has {indexes.describe(index)}")
    return f"{lists.name_of(name).repository}@{entries[0].digest}"


@click.command("ls")
@click.option("-q", "--quiet", is_flag=True, help="Print only names")
@click.option("--format", "form", metavar="FORMAT", help="Output format: table, json or a Go template")
@pass_session
def ls(session: Session, quiet: bool, form: str | None) -> None:
    """List the indexes in the store."""
    from polyarch.images import names
    from polyarch.indexes import lists

    listed_indexes = lists.ls(session.store)
    if quiet:
        click.echo("".join(f"{names.familiar(listed.name)}\n" for listed in listed_indexes), nl=False)
        return
    rows: list[dict[str, Any]] = [
        {
            "Name": names.familiar(listed.name),
            "ID": text.short_digest(listed.descriptor.digest),
            "Digest": listed.descriptor.digest,
            "Platforms": [str(platform or "none") for platform in listed.platforms],
            "Attestations": listed.attestations,
        }
        for listed in listed_indexes
    ]
    show(
        form,
        rows,
        lambda: tables.render(
            ("NAME", "ID", "PLATFORMS"), [(row["Name"], row["ID"], ", ".join(row["Platforms"])) for row in rows]
        ),
        {},
    )


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
@click.option("--format", "form", metavar="FORMAT", help="Output format of each entry: json or a Go template")
@options.insecure
@pass_session
def diff(session: Session, old: str, new: str | None, form: str | None, insecure: bool) -> int:
    """Show the entries added, removed and changed from A to B.

    Without B, compare A in the registry with A in the store.

    Exits with 1 if the lists differ, else with 0.
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
