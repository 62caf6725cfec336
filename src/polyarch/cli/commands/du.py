"""`buildx du`: list the records of the cache, with docker's columns and a description."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from polyarch.cli.formats import Row, show
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UsageError
from polyarch.render import tables, text

if TYPE_CHECKING:
    from polyarch.images.usage import Kind, UsageRecord

# The names of the kinds in `system df`, in its order.
KINDS: "Mapping[Kind, str]" = {
    "unpacked layer": "Unpacked layers",
    "build cache": "Build cache",
    "cache mount": "Cache mounts",
    "emulator": "Emulators",
    "index": "Cache index",
}
# BuildKit's types, which scripts use as filters.
_TYPES = {
    "exec.cachemount": ("cache mount",),
    "regular": ("unpacked layer", "build cache"),
    "internal": ("emulator", "index"),
}
_TITLES = {"LastUsedSince": "LAST ACCESSED"}
_ID = 25
_DESCRIPTION = 60


@click.command("du")
@click.option(
    "-f",
    "--filter",
    "filters",
    multiple=True,
    metavar="KEY[=VALUE]",
    help="Filter by id=ID, type=TYPE, inuse, shared or private",
)
@click.option("--verbose", is_flag=True, help="Show all details of each record")
@click.option("--format", "form", metavar="FORMAT", help="Output format: table, json or a Go template")
@click.option("--builder", hidden=True, expose_value=False)
@pass_session
def du(session: Session, filters: tuple[str, ...], verbose: bool, form: str | None) -> None:
    """List the records of the cache (unpacked layers, build cache, cache mounts), least recently used first."""
    from polyarch.images import usage

    records = [record for record in usage.space(session.store).cache if all(_matches(record, f) for f in filters)]
    shown = _blocks if verbose else table
    show(form, [_row(record) for record in records], lambda: shown(records) + _sums(records), _TITLES)


def table(records: "Sequence[UsageRecord]") -> str:
    """One line for each record."""
    rows = [
        (
            _short(record.id),
            str(not record.in_use).lower(),
            text.size(record.size),
            _since(record.used),
            record.kind,
            text.clip(text.plain(record.description), _DESCRIPTION),
        )
        for record in records
    ]
    return tables.render(("ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED", "TYPE", "DESCRIPTION"), rows)


def _blocks(records: "Sequence[UsageRecord]") -> str:
    lines: list[str] = []
    for record in records:
        lines += [
            f"ID:           {record.id}",
            f"Type:         {record.kind}",
            f"Reclaimable:  {str(not record.in_use).lower()}",
            f"Shared:       {str(record.shared).lower()}",
            f"Size:         {text.size(record.size)}",
            f"Last used:    {_since(record.used)}",
            f"Description:  {text.plain(record.description)}",
            "",
        ]
    return "".join(f"{line}\n" for line in lines)


def _sums(records: "Sequence[UsageRecord]") -> str:
    def of(condition: "Callable[[UsageRecord], bool]") -> str:
        return text.size(sum(record.size for record in records if condition(record)))

    sums = [
        ("Shared:", of(lambda record: record.shared)),
        ("Private:", of(lambda record: not record.shared)),
        ("Reclaimable:", of(lambda record: not record.in_use)),
        ("Total:", of(lambda record: True)),
    ]
    return "".join(f"{title:13} {size}\n" for title, size in sums)


def _row(record: "UsageRecord") -> Row:
    return {
        "ID": record.id,
        "Type": record.kind,
        "Size": text.size(record.size),
        "Bytes": record.size,
        "Reclaimable": not record.in_use,
        "InUse": record.in_use,
        "Shared": record.shared,
        "LastUsedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.used)),
        "LastUsedSince": _since(record.used),
        "Description": record.description,
    }


def _since(used: float) -> str:
    return text.age(max(time.time() - used, 0))


def _short(identity: str) -> str:
    return identity.rpartition(":")[2][:_ID]


def _matches(record: "UsageRecord", condition: str) -> bool:
    key, _, value = condition.partition("=")
    match key:
        case "id":
            return record.id.rpartition(":")[2].startswith(value.rpartition(":")[2])
        case "type":
            return record.kind in _TYPES.get(value, (value,))
        case "inuse":
            return record.in_use
        case "shared":
            return record.shared
        case "private":
            return not record.shared
    raise UsageError(f"unknown filter {condition!r}", "filters: id=ID, type=TYPE, inuse, shared, private")
