"""`buildx history`: the builds that were done with this store, as docker buildx lists, shows and exports them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyarch.cli.formats import show, since
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UsageError
from polyarch.render import tables

if TYPE_CHECKING:
    from polyarch.builder.history.entry import HistoryEntry

_DURATION = 60  # seconds from which on minutes are shown


@click.command("ls")
@click.option("--format", "form", metavar="FORMAT", help="Output format: table, json or a Go template")
@click.option("--no-trunc", is_flag=True, help="Do not shorten names")
@click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only these: status=…, ref=…")
@click.option("--local", is_flag=True, help="Only builds of the repository that this directory is in")
@click.option("--builder", hidden=True, expose_value=False)
@pass_session
def ls(session: Session, form: str | None, no_trunc: bool, filters: tuple[str, ...], local: bool) -> None:
    """List the builds, the latest first."""
    from polyarch.builder.history import entry, inspection
    from polyarch.render import text

    found = [one for one in entry.entries(session.store) if _matches(one, filters)]
    if local:
        here = Path.cwd()
        top = next((one for one in (here, *here.parents) if (one / ".git").exists()), here)
        found = [one for one in found if Path(one.inputs.context).is_relative_to(top)]
    if form == "json":
        show(form, [inspection.row(one) for one in found], str, {})
        return
    rows = [
        {
            "Ref": one.id,
            "Name": inspection.name(one) if no_trunc else text.clip(inspection.name(one), 36),
            "Status": inspection.row(one)["status"],
            "CreatedAt": since(inspection.moment(one.begun)),
            "Duration": _duration(one.seconds),
            "Link": "",
        }
        for one in found
    ]
    titles = {"Ref": "BUILD ID", "Name": "NAME", "Status": "STATUS", "CreatedAt": "CREATED AT", "Duration": "DURATION"}
    show(
        form, rows, lambda: tables.render(list(titles.values()), [[row[key] for key in titles] for row in rows]), titles
    )


@click.command("inspect")
@click.argument("words", nargs=-1, metavar="[REF] | attachment [REF [DIGEST]]")
@click.option("--format", "form", metavar="FORMAT", help="Output format: pretty, json or a Go template")
@click.option("--type", "kind", metavar="TYPE", help="Type of the attachment: provenance, sbom, manifest, index, …")
@click.option("--platform", metavar="PLATFORM", help="Platform of the attachment")
@click.option("--builder", hidden=True, expose_value=False)
@pass_session
def inspect(session: Session, words: tuple[str, ...], form: str | None, kind: str | None, platform: str | None) -> None:
    """Show a build, by default the last one; or print one of the documents that it made (attachment)."""
    import msgspec

    from polyarch.builder.history import entry, inspection

    entries = entry.entries(session.store)
    if words and words[0] == "attachment":
        if len(words) > 3:
            raise UsageError("too many arguments", "buildx history inspect attachment [REF [DIGEST]]")
        wanted = inspection.find(entries, words[1] if len(words) > 1 else "")
        made = inspection.attachments(wanted, session.store)
        chosen = inspection.chosen(made, words[2] if len(words) > 2 else "", kind or "", platform or "")
        with session.store.open_blob(chosen.descriptor) as blob:
            sys.stdout.buffer.write(blob.read())
        return
    if len(words) > 1:
        raise UsageError("too many arguments", "buildx history inspect [REF]")
    found = inspection.document(inspection.find(entries, words[0] if words else ""), session.store)
    if form == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    elif form and form != "pretty":
        from polyarch.render.templates import Template

        click.echo(Template(form).render(found))
    else:
        click.echo(_pretty(found), nl=False)


@click.command("export")
@click.argument("references", nargs=-1, metavar="[REF]...")
@click.option("-o", "--output", metavar="FILE", help="The file to write (default: standard output)")
@click.option("--all", "all_", is_flag=True, help="Export all builds")
@click.option("--finalize", is_flag=True, hidden=True, expose_value=False)
@click.option("--builder", hidden=True, expose_value=False)
@pass_session
def export(session: Session, references: tuple[str, ...], output: str | None, all_: bool) -> None:
    """Write builds to a .dockerbuild file, which Docker Desktop can import. By default the last build."""
    from polyarch.builder.history import bundle, entry, inspection
    from polyarch.cli import refs

    if all_ and references:
        raise UsageError("--all exports every build, so no build can be named", "leave out one of both")
    entries = entry.entries(session.store)
    chosen = entries if all_ else [inspection.find(entries, one) for one in references or ("",)]
    if not chosen:
        inspection.find(entries, "")
    variables = session.environment.variables
    builds = []
    for one in chosen:
        state = refs.read(variables, one.reference)
        group: dict[str, Any] = refs.read_group(variables, str(state.get("GroupRef", "")))
        builds.append(bundle.BundledBuild(one, state, group))
    default = str(session.host())
    if output is None:
        if sys.stdout.isatty():
            raise UsageError("refusing to write an archive to a terminal", "name a file with --output")
        bundle.write(sys.stdout.buffer, builds, session.store, default)
        return
    with open(output, "wb") as file:
        bundle.write(file, builds, session.store, default)


@click.command("rm")
@click.argument("references", nargs=-1, metavar="[REF]...")
@click.option("--all", "all_", is_flag=True, help="Remove all builds")
@click.option("--builder", hidden=True, expose_value=False)
@pass_session
def rm(session: Session, references: tuple[str, ...], all_: bool) -> None:
    """Forget builds. Images and the cache stay."""
    from polyarch.builder.history import entry, inspection

    if not references and not all_:
        raise UsageError("history rm needs a build", "name one, or use --all")
    entries = entry.entries(session.store)
    chosen = entries if all_ else [inspection.find(entries, one) for one in references]
    entry.remove(session.store, [one.id for one in chosen])


def _matches(one: "HistoryEntry", filters: tuple[str, ...]) -> bool:
    status = "error" if one.status == "failed" else one.status
    values = {"ref": one.id, "status": status, "repository": one.vcs.get("source", "")}
    for text in filters:
        key, equals, value = text.partition("=")
        negated = key.endswith("!")
        key = key.removesuffix("!")
        if not equals or key not in values:
            raise UsageError(
                f"unknown filter {text!r}", "known filters: ref=ID, status=completed|error|canceled, repository=URL"
            )
        if (values[key] == value) == negated:
            return False
    return True


def _duration(seconds: float) -> str:
    if seconds < _DURATION:
        return f"{seconds:.1f}s"
    return f"{int(seconds // 60)}m {int(seconds % 60):2}s"


def _pretty(found: dict[str, Any]) -> str:
    """The build for people: fields, then a table for each list."""
    titles = {
        "Name": "Name",
        "Ref": "Ref",
        "Context": "Context",
        "Dockerfile": "Dockerfile",
        "VCSRepository": "VCS Repository",
        "VCSRevision": "VCS Revision",
        "Target": "Target",
    }
    lines = [(f"{title}:", str(found[key])) for key, title in titles.items() if key in found]
    if "Platform" in found:
        lines.append(("Platforms:", ", ".join(found["Platform"])))
    share = 100 * found["NumCachedSteps"] // (found["NumTotalSteps"] or 1)
    lines += [
        ("Started:", found["StartedAt"][:19].replace("T", " ")),
        ("Duration:", _duration(found.get("Duration", 0) / 1e9)),
        ("Status:", found["Status"]),
        *([("Error:", found["Error"].get("Message", "").partition("\n")[0])] if "Error" in found else []),
        ("Build Steps:", f"{found['NumCompletedSteps']}/{found['NumTotalSteps']} ({share}% cached)"),
    ]
    parts = [tables.render((), lines)]
    for key, title in (("NamedContexts", "NAMED CONTEXT"), ("BuildArgs", "BUILD ARG"), ("Labels", "LABEL")):
        if rows := found.get(key):
            parts.append(tables.render((title, "VALUE"), [(row.get("Name", ""), row.get("Value", "")) for row in rows]))
    if rows := found.get("Materials"):
        parts.append(
            tables.render(("URI", "DIGEST"), [(row["URI"], ", ".join(row.get("Digests", ()))) for row in rows])
        )
    if rows := found.get("Attachments"):
        parts.append(
            tables.render(
                ("DIGEST", "PLATFORM", "TYPE"), [(row["Digest"], row.get("Platform", ""), row["Type"]) for row in rows]
            )
        )
    return "\n".join(parts)
