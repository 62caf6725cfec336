"""`system`: what the store takes on disk, giving it back, and proving that it is whole."""

import sys
from typing import TYPE_CHECKING

import click

from polyarch.buildflags import size
from polyarch.cli.commands import du
from polyarch.cli.formats import show
from polyarch.cli.groups import LazyGroup
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UnsupportedError
from polyarch.render import tables, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyarch.images.usage import UsageRecord

COMMANDS = {
    "Commands": {
        "df": ("system:df", "Show what the store takes on disk"),
        "fsck": ("system:fsck", "Verify every byte of the store"),
        "prune": ("system:prune", "Remove unused data"),
    }
}
system = LazyGroup("system", sections=COMMANDS, help="Manage the store.")


@click.command("df")
@click.option("-v", "--verbose", is_flag=True, help="Show every record of the cache, as 'buildx du' does")
@click.option("--format", "form", metavar="FORMAT", help="'table', 'json', or a Go template")
@pass_session
def df(session: Session, verbose: bool, form: str | None) -> None:
    """Show what the store takes on disk, by kind, and how much of that 'system prune --all' would free.

    ACTIVE counts images with a name, and what a command that runs now uses.
    """
    from polyarch.images import usage

    space = usage.space(session.store)
    rows = [_total("Images", space.images.count, space.images.named, space.images.size, space.images.reclaimable)]
    for kind, title in du.KINDS.items():
        rows.append(_of_kind(title, [record for record in space.cache if record.kind == kind]))

    def table() -> str:
        header = ("TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE")
        shown = [tables.render(header, [[str(value) for value in row.values()] for row in rows])]
        if verbose:
            shown.append(du.table(space.cache))
        shown.append(f"{_offer(space.garbage, space.spare)}{_limit(session, space.cache)}Store: {session.root}\n")
        return "\n".join(shown)

    show(form, rows, table, {"TotalCount": "TOTAL"})


def _total(title: str, count: int, active: int, size: int, reclaimable: int) -> dict[str, str | int]:
    share = f" ({reclaimable * 100 // size}%)" if size else ""
    return {
        "Type": title,
        "TotalCount": count,
        "Active": active,
        "Size": text.size(size),
        "Reclaimable": f"{text.size(reclaimable)}{share}",
    }


def _of_kind(title: str, records: "Sequence[UsageRecord]") -> dict[str, str | int]:
    used = [record for record in records if record.in_use]
    size = sum(record.size for record in records)
    return _total(title, len(records), len(used), size, size - sum(record.size for record in used))


def _offer(garbage: int, spare: int) -> str:
    return f"'polyarch system prune' frees {text.size(garbage)}, with --all {text.size(spare)}\n"


def _limit(session: Session, cache: "Sequence[UsageRecord]") -> str:
    from polyarch.store.growth import default_limit

    limit = session.cache_limit()
    if limit == "default":
        limit = default_limit(str(session.root))
    most = "without a limit" if limit is None else f"of {text.size(limit)} that it may take (POLYARCH_CACHE_LIMIT)"
    return f"Cache: {text.size(sum(record.size for record in cache))} {most}\n"


@click.command("prune")
@click.option(
    "-a", "--all", "everything", is_flag=True, help="Remove the build cache, cache mounts and unpacked layers as well"
)
@click.option("-f", "--force", is_flag=True, help="Remove without asking; on a terminal, prune only lists otherwise")
@click.option("--dry-run", is_flag=True, help="Only list what would be removed")
@click.option(
    "--max-used-space",
    "--keep-storage",
    "limit",
    metavar="SIZE",
    help="Remove the least recently used cache until the store takes no more than this",
)
@pass_session
def prune(session: Session, everything: bool, force: bool, dry_run: bool, limit: str | None) -> None:
    """Remove images without a name, and everything that neither an image nor the build cache needs.

    On a terminal, only lists what would be removed, unless -f is given.
    """
    from polyarch.images import prune as pruning

    # Docker asks "are you sure?"; a list of what would go answers better.
    rehearsal = dry_run or (sys.stdout.isatty() and not force)
    reclaimed = pruning.prune(
        session.store, everything=everything, storage=size.bytes_of(limit) if limit else None, dry_run=rehearsal
    )
    for item in reclaimed.removed:
        click.echo(f"{'Would remove' if rehearsal else 'Removed'} {item.kind} {item.name} {text.size(item.size)}")
    click.echo(f"Total {'reclaimable' if rehearsal else 'reclaimed'} space: {text.size(reclaimed.size)}")
    if not everything and not limit:
        _offer_more(session, reclaimed.size if rehearsal else 0)
    if rehearsal and reclaimed.removed and not dry_run:
        session.note("nothing was removed; 'polyarch system prune --force' removes it")
    if reclaimed.left and not rehearsal:
        # What RUN made as other users belongs to subordinate ids, which only their namespace may remove.
        from polyarch.sandbox import enter

        try:
            enter(session.environment.search_path)
        except UnsupportedError as error:
            session.warn("files that belong to subordinate ids could not be removed", error.message)
        else:
            session.store.reclaim()


def _offer_more(session: Session, offered: int) -> None:
    """Say what stays because it may save time, where that is more than has been offered."""
    from polyarch.images import usage

    space = usage.space(session.store)
    if space.spare <= max(offered, 0):
        return
    kinds = {kind: sum(record.size for record in space.cache if record.kind == kind) for kind in du.KINDS}
    parts = ", ".join(f"{du.KINDS[kind].lower()} {text.size(size)}" for kind, size in kinds.items() if size)
    session.note(f"'polyarch system prune --all' would free {text.size(space.spare)} ({parts})")


@click.command("fsck")
@click.option("--repair", is_flag=True, help="Remove what is corrupt, and restore an index.json that is damaged")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing if nothing is wrong")
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
