"""`cache`: what is in a build cache outside of the store, and removing a part of it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polyarch.cli import options
from polyarch.cli.formats import Row, show
from polyarch.cli.groups import LazyGroup
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UsageError
from polyarch.render import tables, text

if TYPE_CHECKING:
    from polyarch.buildcache.carrier import Carrier
    from polyarch.buildcache.contents import CacheContents, CacheItem

COMMANDS = {
    "Commands": {
        "inspect": ("cache:inspect", "List the layers and cache mounts in a build cache"),
        "ls": ("cache:ls", "Show for which platforms a build cache has something, and how much"),
        "prune": ("cache:prune", "Remove a part of a build cache"),
    }
}
cache = LazyGroup("cache", sections=COMMANDS, help="Work on build caches that --cache-to wrote.")

_STEP = 60
_TITLES = {"LastUsed": "LAST USED", "Name": "STEP OR MOUNT"}
_PLATFORM = options.platform(several=True, help="Only the caches of these platforms (default: all)")
_FORMAT = click.option("--format", "form", metavar="FORMAT", help="Output format: table, json or a Go template")


@click.command("ls")
@click.argument("place", metavar="REF|type=TYPE,…")
@_PLATFORM
@_FORMAT
@options.insecure
@pass_session
def ls(session: Session, place: str, platform: tuple[str, ...], form: str | None, insecure: bool) -> None:
    """Show the platforms of a build cache. It is named as for --cache-from: by the name of an image or a cache in a
    registry, or as type=local,src=DIRECTORY, type=s3,bucket=NAME or type=gha.
    """
    from polyarch.buildcache import contents

    with _opened(session, place, insecure) as carrier:
        found = contents.read(carrier, session.platforms(platform), session.host())

    def table() -> str:
        rows = [[str(value) for name, value in row.items() if name != "Bytes"] for row in map(_platform_row, found)]
        header = ("PLATFORM", "LAYERS", "MOUNTS", "SIZE", "CREATED", "LAST USED")
        return tables.render(header, rows) + f"Total: {text.size(contents.size_of(found))}\n"

    show(form, list(map(_platform_row, found)), table, _TITLES)


@click.command("inspect")
@click.argument("place", metavar="REF|type=TYPE,…")
@_PLATFORM
@_FORMAT
@options.insecure
@pass_session
def inspect(session: Session, place: str, platform: tuple[str, ...], form: str | None, insecure: bool) -> None:
    """List what is in a build cache: the step that made each layer, when, and when a build last used it."""
    from polyarch.buildcache import contents

    with _opened(session, place, insecure) as carrier:
        found = contents.read(carrier, session.platforms(platform), session.host())
    items = [item for one in found for item in one.items]
    show(form, list(map(_item_row, items)), lambda: _table(items), _TITLES)


@click.command("prune")
@click.argument("place", metavar="REF|type=TYPE,…")
@_PLATFORM
@click.option("-a", "--all", "everything", is_flag=True, help="Remove everything")
@click.option("--unused-for", metavar="DURATION", help="Remove what no build used for so long, such as 168h")
@click.option(
    "--max-used-space",
    "--keep-storage",
    "limit",
    metavar="SIZE",
    help="Remove what was used least recently until the cache is not larger than SIZE",
)
@click.option("--dry-run", is_flag=True, help="Only list what would be removed")
@options.insecure
@pass_session
def prune(
    session: Session,
    place: str,
    platform: tuple[str, ...],
    everything: bool,
    unused_for: str | None,
    limit: str | None,
    dry_run: bool,
    insecure: bool,
) -> None:
    """Remove a part of a build cache. A registry removes the blobs themselves when it collects garbage."""
    from polyarch.buildcache import contents
    from polyarch.buildflags import size

    if not (everything or unused_for or limit):
        raise UsageError(
            "nothing says what to remove", "add --unused-for DURATION, --max-used-space SIZE, or --all; see --help"
        )
    limits = contents.PruneLimits(
        platforms=session.platforms(platform),
        everything=everything,
        before=_day(unused_for) if unused_for else "",
        size=size.bytes_of(limit) if limit else None,
    )
    with _opened(session, place, insecure, writing=True) as carrier:
        gone = contents.prune(carrier, limits, session.host(), dry_run=dry_run)
    for item in gone:
        name = text.clip(text.plain(item.name), _STEP)
        click.echo(f"{'Would remove' if dry_run else 'Removed'} {item.platform} {name} {text.size(item.size)}")
    total = sum({item.digest: item.size for item in gone}.values())
    click.echo(f"Total {'removable' if dry_run else 'removed'}: {text.size(total)}")


@contextmanager
def _opened(session: Session, place: str, insecure: bool, *, writing: bool = False) -> "Iterator[Carrier]":
    """The carrier of a cache that is named as for --cache-from."""
    from polyarch.buildcache.carrier import Around
    from polyarch.buildflags import cache as flags
    from polyarch.client.caches import carrier_of

    named = flags.parse_source(place, session.environment.variables, Path()).place
    trusted = insecure or named.attributes.get("registry.insecure", "").lower() in ("1", "t", "true")
    around = Around(
        store=session.store,
        registry=session.registry_for([named.attributes["ref"]] if trusted and "ref" in named.attributes else ()),
        now=time.time(),
    )
    with carrier_of(named, around, writing=writing) as carrier:
        yield carrier


def _day(duration: str) -> str:
    """The day before which something was not used for `duration`."""
    from polyarch.client.caches import day_before
    from polyarch.dockerfile.instructions.healthcheck import duration as parse
    from polyarch.dockerfile.source import DockerfileError

    try:
        seconds = parse(duration) / 1e9
    except DockerfileError:
        seconds = -1.0
    if seconds <= 0:
        raise UsageError(f"--unused-for: {duration!r} is not a duration", "expected a duration such as 168h or 30m")
    return day_before(time.time(), seconds)


def _platform_row(one: "CacheContents") -> Row:
    layers = [item for item in one.items if item.kind == "layer"]
    return {
        "Platform": str(one.platform),
        "Layers": len(layers),
        "Mounts": len(one.items) - len(layers),
        "Size": text.size(one.size),
        "Bytes": one.size,
        "Created": max((item.created for item in one.items), default="")[:19].replace("T", " "),
        "LastUsed": max((item.used for item in one.items), default=""),
    }


def _item_row(item: "CacheItem") -> Row:
    return {
        "Kind": item.kind,
        "Platform": str(item.platform),
        "Name": item.name,
        "Key": item.key,
        "Digest": item.digest,
        "Size": text.size(item.size),
        "Bytes": item.size,
        "Created": item.created,
        "LastUsed": item.used,
    }


def _table(items: "Sequence[CacheItem]") -> str:
    rows = [
        (
            str(item.platform),
            item.kind,
            text.size(item.size),
            item.created[:19].replace("T", " "),
            item.used,
            text.clip(text.plain(item.name), _STEP),
        )
        for item in items
    ]
    return tables.render(("PLATFORM", "KIND", "SIZE", "CREATED", "LAST USED", "STEP OR MOUNT"), rows)
