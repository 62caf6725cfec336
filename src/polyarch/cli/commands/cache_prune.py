"""`buildx prune` and `builder prune`, with the options of buildx."""

import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from polyarch.buildflags import size
from polyarch.cli.commands.system import report_pruned, used_since
from polyarch.cli.session import Session, pass_session

# buildx's name for the cache mounts of RUN.
_MOUNTS = "type=exec.cachemount"


@click.command("prune")
@click.option("-a", "--all", "everything", is_flag=True, help="Remove all of the cache")
@click.option("-f", "--force", is_flag=True, help="Remove; on a terminal, prune without it only lists")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY=VALUE",
    help="until=24h: keep what was used within this time; type=exec.cachemount: only cache mounts",
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
        used_since=used_since([one for one in words["filters"] if one != _MOUNTS], session),
        only_mounts=_MOUNTS in words["filters"],
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
