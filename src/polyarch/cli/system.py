"""`system`: what the store takes on disk, giving it back, and proving that it is whole."""

import sys

import click

from polyarch.cli import tables, text
from polyarch.cli.formats import show
from polyarch.cli.groups import LazyGroup
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UnsupportedError

COMMANDS = {
    "Commands": {
        "df": ("system:df", "Show what the store takes on disk"),
        "fsck": ("system:fsck", "Read every byte of the store and say what is wrong"),
        "prune": ("system:prune", "Remove what no image needs"),
    }
}
system = LazyGroup("system", sections=COMMANDS, help="Look after the store.")


@click.command("df")
@click.option("--format", "form", metavar="FORMAT", help="'table', 'json', or a Go template")
@pass_session
def df(session: Session, form: str | None) -> None:
    """Show what the store takes on disk, and what of it prune would give back."""
    from polyarch.images import prune as pruning

    space = pruning.space(session.store)
    rows = [
        {"Type": "Images", "TotalCount": space.images + space.unnamed, "Size": text.size(space.usage.blobs)},
        {"Type": "Unpacked layers", "TotalCount": space.snapshots, "Size": text.size(space.usage.snapshots)},
        {"Type": "Cache mounts", "TotalCount": space.caches, "Size": text.size(space.usage.caches)},
        {"Type": "Cache", "TotalCount": 1, "Size": text.size(space.cache)},
    ]

    def table() -> str:
        shown = tables.render(
            ("TYPE", "TOTAL", "SIZE"), [(str(row["Type"]), str(row["TotalCount"]), str(row["Size"])) for row in rows]
        )
        reclaimable = f"{text.size(space.usage.garbage)}, with the build cache (prune -a) {text.size(space.spare)}"
        return f"{shown}\nReclaimable: {reclaimable}\nStore: {session.root}\n"

    show(form, rows, table, {"TotalCount": "TOTAL"})


@click.command("prune")
@click.option(
    "-a", "--all", "everything", is_flag=True, help="Remove the build cache, cache mounts and unpacked layers as well"
)
@click.option("-f", "--force", is_flag=True, help="On a terminal: do it, do not only say what would go")
@click.option("--dry-run", is_flag=True, help="Only say what would go")
@click.option(
    "--max-used-space",
    "--keep-storage",
    "limit",
    metavar="SIZE",
    help="Of the build cache remove what was unused the longest, until the store takes no more",
)
@pass_session
def prune(session: Session, everything: bool, force: bool, dry_run: bool, limit: str | None) -> None:
    """Remove images without a name and all that neither a name nor the build cache needs.

    On a terminal, only says what would go without -f.
    """
    from polyarch.images import prune as pruning

    # Docker asks "are you sure?"; a list of what would go answers better.
    rehearsal = dry_run or (sys.stdout.isatty() and not force)
    reclaimed = pruning.prune(
        session.store, everything=everything, storage=text.bytes_of(limit) if limit else None, dry_run=rehearsal
    )
    for item in reclaimed.removed:
        click.echo(f"{'Would remove' if rehearsal else 'Removed'} {item.kind} {item.name} {text.size(item.size)}")
    click.echo(f"Total {'reclaimable' if rehearsal else 'reclaimed'} space: {text.size(reclaimed.size)}")
    if rehearsal and reclaimed.removed and not dry_run:
        session.note("nothing was removed; 'polyarch system prune --force' does it")
    if reclaimed.left and not rehearsal:
        # What RUN made as other users belongs to subordinate ids, which only their namespace may remove.
        from polyarch.sandbox import enter

        try:
            enter(session.environment.search_path)
        except UnsupportedError as error:
            session.warn("files of other ids of a user namespace stay in the store", error.message)
        else:
            session.store.reclaim()


@click.command("fsck")
@click.option("--repair", is_flag=True, help="Remove what is corrupt, and restore an index.json that is damaged")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing where all is well")
@pass_session
def fsck(session: Session, repair: bool, quiet: bool) -> int:
    """Read every byte of the store and compare it with its digest. Exits with 1 where something is wrong."""
    read = 0

    def count(size: int) -> None:
        nonlocal read
        read += size

    wrong = left = 0
    for problem in session.store.verify(count):
        # A base whose layers no one needed yet is as it should be: it is fetched when it is needed.
        if problem.kind == "absent":
            if not quiet:
                session.note(f"not here: {problem.message}")
            continue
        wrong += 1
        done = repair and session.store.repair(problem)
        left += not done
        touched = f" (used by {', '.join(problem.tags)})" if problem.tags else ""
        click.echo(f"{problem.kind}: {problem.message}{touched}{': removed' if done else ''}")
    if not quiet:
        click.echo(f"{text.size(read)} read, {wrong or 'no'} problem{'' if wrong == 1 else 's'}")
    if left and not repair:
        session.note(
            "hint: 'polyarch system fsck --repair' removes what is corrupt; then pull or build its image again"
        )
    return 1 if left else 0
