"""`buildx prune` and `builder prune`, with the options of buildx."""

import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import click

from polyarch.buildflags import size
from polyarch.cli import moments
from polyarch.cli.commands.system import report_pruned
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UsageError


@click.command("prune")
@click.option("-a", "--all", "everything", is_flag=True, help="Remove all of the cache")
@click.option("-f", "--force", is_flag=True, help="Remove; on a terminal, prune without it only lists")
@click.option(
    "--filter", "filters", multiple=True, metavar="until=AGE", help="Keep what was used within AGE, as in 24h"
)
@click.option("--max-used-space", "--keep-storage", "most", metavar="SIZE", help="Remove until the store is this small")
@click.option("--reserved-space", "reserved", metavar="SIZE", help="Never remove more than leaves this much")
@click.option("--min-free-space", "free", metavar="SIZE", help="Remove until this much of the disk is free")
@click.option("--verbose", is_flag=True, help="Accepted: each item is listed")
@pass_session
def prune(session: Session, /, **words: Any) -> None:
    """Remove what no image and no build needs, or with --all the whole cache."""
    from polyarch.images import prune as pruning

    rehearsal = sys.stdout.isatty() and not words["force"]
    reclaimed = pruning.prune(
        session.store,
        everything=words["everything"],
        storage=_storage(session, words),
        used_since=_used_since(words["filters"], session),
        dry_run=rehearsal,
    )
    report_pruned(session, reclaimed, rehearsal=rehearsal)


def _storage(session: Session, words: Mapping[str, Any]) -> int | None:
    """The size to which the store is reduced; None for no limit."""
    most, reserved, free = (
        size.bytes_of(words[name]) if words[name] else None for name in ("most", "reserved", "free")
    )
    wanted = most
    if free is not None:
        disk = os.statvfs(session.store.layout.root)
        items = session.store.maintenance.usage().items
        needed = max(free - disk.f_bavail * disk.f_frsize, 0)
        there = sum(item.size for item in items)
        wanted = min(there - needed, there if wanted is None else wanted)
    if reserved is None:
        return wanted
    return reserved if wanted is None else max(wanted, reserved)


def _used_since(filters: Iterable[str], session: Session) -> float | None:
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
