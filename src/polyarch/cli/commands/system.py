"""`system`: show and free the disk space of the store, and verify its content."""

import sys
from typing import TYPE_CHECKING

import click

from polyarch.buildflags import size
from polyarch.cli import moments
from polyarch.cli.commands import du
from polyarch.cli.formats import show
from polyarch.cli.groups import LazyGroup
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UnsupportedError, UsageError
from polyarch.render import tables, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from polyarch.images.usage import UsageRecord
    from polyarch.store import Reclaimed

COMMANDS = {
    "Commands": {
        "df": ("system:df", "Show the disk usage of the store"),
        "fsck": ("system:fsck", "Verify every byte of the store"),
        "prune": ("system:prune", "Remove unused data"),
    }
}
system = LazyGroup("system", sections=COMMANDS, help="Manage the store.")


@click.command("df")
@click.option("-v", "--verbose", is_flag=True, help="Show every record of the cache, as 'buildx du' does")
@click.option("--format", "form", metavar="FORMAT", help="Output format: table, json or a Go template")
@pass_session
def df(session: Session, verbose: bool, form: str | None) -> None:
    """Show the disk usage of the store by type, and how much of it 'system prune --all' would free.

    ACTIVE counts images with a name, and what running commands use.
    """
    from polyarch.images import usage

    space = usage.space(session.store)
    rows = [_total("Images", space.images.count, space.images.named, space.images.size, space.images.reclaimable)]
    for kind, title in du.KINDS.items():
        rows.append(_of_kind(title, [record for record in space.cache if record.kind == kind]))
    if form and session.is_docker:
        # Clients look for docker's four types.
        none = [_total(title, 0, 0, 0, 0) for title in ("Containers", "Local Volumes")]
        rows = [rows[0], *none, _of_kind("Build Cache", space.cache)]

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
    maximum = "without a limit" if limit is None else f"of at most {text.size(limit)} (POLYARCH_CACHE_LIMIT)"
    return f"Cache: {text.size(sum(record.size for record in cache))} {maximum}\n"


@click.command("prune")
@click.option(
    "-a", "--all", "everything", is_flag=True, help="Remove the build cache, cache mounts and unpacked layers as well"
)
@click.option("-f", "--force", is_flag=True, help="Remove; on a terminal, prune without it only lists")
@click.option("--dry-run", is_flag=True, help="Only list what would be removed")
@click.option(
    "--filter", "filters", multiple=True, metavar="until=AGE", help="Keep what was used within AGE, as in 24h"
)
@click.option("--volumes", hidden=True, is_flag=True, expose_value=False)
@click.option(
    "--max-used-space",
    "--keep-storage",
    "limit",
    metavar="SIZE",
    help="Remove the least recently used cache until the store is not larger than SIZE",
)
@pass_session
def prune(
    session: Session, everything: bool, force: bool, dry_run: bool, filters: tuple[str, ...], limit: str | None
) -> None:
    """Remove unnamed images, and everything that neither an image nor the build cache needs.

    On a terminal, without -f, only lists what would be removed.
    """
    from polyarch.images import prune as pruning

    # Docker asks for a confirmation; a list of what would be removed helps more.
    rehearsal = dry_run or (sys.stdout.isatty() and not force)
    reclaimed = pruning.prune(
        session.store,
        everything=everything,
        storage=size.bytes_of(limit) if limit else None,
        used_since=used_since(filters, session),
        dry_run=rehearsal,
    )
    report_pruned(session, reclaimed, rehearsal=rehearsal)
    if not everything and not limit and not filters:
        _offer_more(session, reclaimed.size if rehearsal else 0)
    if rehearsal and reclaimed.removed and not dry_run:
        session.note("nothing was removed; 'polyarch system prune --force' removes it")


def used_since(filters: "Iterable[str]", session: Session) -> float | None:
    """The time from which on nothing is removed. Raises UsageError: a filter that is ignored would remove too much."""
    since: float | None = None
    for condition in filters:
        key, _, value = condition.partition("=")
        if key not in ("until", "unused-for"):
            raise UsageError(f"unknown filter {condition!r}", "filter: until=AGE, as in until=24h or until=1h30m")
        if since is not None:
            raise UsageError(f"the filter {condition!r} is the second age", "give one of until and unused-for, once")
        since = moments.parse(value, session.surroundings().now)
    return since


def report_pruned(session: Session, reclaimed: "Reclaimed", *, rehearsal: bool) -> None:
    """Print what was removed, or would be, and remove what belongs to subordinate ids."""
    for item in reclaimed.removed:
        click.echo(f"{'Would remove' if rehearsal else 'Removed'} {item.kind} {item.name} {text.size(item.size)}")
    click.echo(f"Total {'reclaimable' if rehearsal else 'reclaimed'} space: {text.size(reclaimed.size)}")
    if reclaimed.left and not rehearsal:
        # Files that RUN created as other users belong to subordinate ids: only their user namespace may remove them.
        from polyarch.sandbox import enter

        try:
            enter(session.environment.search_path)
        except UnsupportedError as error:
            session.warn("files that belong to subordinate ids could not be removed", error.message)
        else:
            session.store.maintenance.reclaim()


def _offer_more(session: Session, offered: int) -> None:
    """Print what `--all` would free, if that is more than `offered` bytes."""
    from polyarch.images import usage

    space = usage.space(session.store)
    if space.spare <= max(offered, 0):
        return
    kinds = {kind: sum(record.size for record in space.cache if record.kind == kind) for kind in du.KINDS}
    parts = ", ".join(f"{du.KINDS[kind].lower()} {text.size(size)}" for kind, size in kinds.items() if size)
    session.note(f"'polyarch system prune --all' would free {text.size(space.spare)} ({parts})")


@click.command("fsck")
@click.option("--repair", is_flag=True, help="Remove corrupt content, and restore a damaged index.json")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing if there are no problems")
@pass_session
def fsck(session: Session, repair: bool, quiet: bool) -> int:
    """Read every byte of the store and verify its digest. Exits with 1 if something is wrong."""
    read = 0

    def count(size: int) -> None:
        nonlocal read
        read += size

    wrong = left = 0
    for problem in session.store.maintenance.verify(count):
        # Not a problem: layers of a base image that are fetched when they are needed.
        if problem.kind == "absent":
            if not quiet:
                session.note(f"not here: {problem.message}")
            continue
        wrong += 1
        repaired = repair and session.store.maintenance.repair(problem)
        left += not repaired
        users = f" (used by {', '.join(problem.tags)})" if problem.tags else ""
        click.echo(f"{problem.kind}: {problem.message}{users}{': removed' if repaired else ''}")
    if not quiet:
        click.echo(f"{text.size(read)} read, {wrong or 'no'} problem{'' if wrong == 1 else 's'}")
    if left and not repair:
        session.note(
            "hint: 'polyarch system fsck --repair' removes corrupt content; then pull or build the image again"
        )
    return 1 if left else 0
