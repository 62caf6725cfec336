"""`volume`: the volumes of the store."""

import secrets
import time
from collections.abc import Iterable, Iterator
from typing import Any

import click

from polyarch.cli.formats import show, show_document
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UnsupportedError, UsageError
from polyarch.store.volumes import StoredVolume

_FORMAT = click.option("-f", "--format", "form", metavar="FORMAT", help="Output format: json or a Go template")
_FILTER = click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only these volumes")
_LS_FILTER = click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only these volumes")
_KEYS = ("name", "label", "driver", "dangling")


@click.command("create")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--label", "labels", multiple=True, metavar="KEY[=VALUE]", help="Set a label")
@click.option("-d", "--driver", default="local", metavar="DRIVER", help="Accepted: local")
@click.option("-o", "--opt", "options", multiple=True, hidden=True)
@pass_session
def create(session: Session, name: str | None, labels: tuple[str, ...], driver: str, options: tuple[str, ...]) -> None:
    """Create a volume, and print its name. One that exists is left as it is."""
    if driver != "local" or options:
        raise UnsupportedError("volume create: there is only the driver local, without options")
    for label in labels:
        if label.startswith("=") or not label:
            raise UsageError(f"--label {label!r} has no key", "expected KEY=VALUE")
    pairs = {key: value for key, _, value in (label.partition("=") for label in labels)}
    made = session.store.volumes.create(name or secrets.token_hex(32), time.time(), pairs)
    click.echo(made.name)


@click.command("ls")
@click.option("-q", "--quiet", is_flag=True, help="Print the names only")
@_LS_FILTER
@click.option("--format", "form", metavar="FORMAT", help="Output format: table, json or a Go template")
@pass_session
def ls(session: Session, quiet: bool, filters: tuple[str, ...], form: str | None) -> None:
    """List the volumes."""
    from polyarch.render import tables

    found = list(_chosen(session, filters))
    if quiet:
        click.echo("".join(f"{one.name}\n" for one in found), nl=False)
        return
    rows = [
        {
            "Driver": "local",
            "Labels": ",".join(f"{key}={value}" for key, value in one.labels.items()),
            "Mountpoint": one.files,
            "Name": one.name,
            "Scope": "local",
        }
        for one in found
    ]

    def table() -> str:
        return tables.render(("DRIVER", "VOLUME NAME"), [["local", one.name] for one in found])

    show(form, rows, table, {"Name": "VOLUME NAME"})


@click.command("inspect")
@click.argument("names", nargs=-1, required=True, metavar="VOLUME...")
@_FORMAT
@pass_session
def inspect(session: Session, names: tuple[str, ...], form: str | None) -> None:
    """Show the details of volumes, as JSON."""
    show_document(form, [_document(session.store.volumes.find(name)) for name in names])


@click.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="VOLUME...")
@click.option("-f", "--force", is_flag=True, help="Ignore volumes that do not exist")
@pass_session
def rm(session: Session, names: tuple[str, ...], force: bool) -> int:
    """Remove volumes and all files in them."""
    from polyarch.cli.removing import remove_each

    return remove_each(session, names, lambda name: _remove(session, name), force=force)


@click.command("prune")
@click.option("-a", "--all", "everything", is_flag=True, help="Remove volumes with names of their own, too")
@click.option("-f", "--force", is_flag=True, help="Do not ask for confirmation")
@_FILTER
@pass_session
def prune(session: Session, everything: bool, force: bool, filters: tuple[str, ...]) -> None:
    """Remove volumes that no container uses now: those without a name of their own, or with --all every one."""
    from polyarch.render import text

    store = session.store
    chosen = [one for one in _chosen(session, filters) if not store.volumes.is_used(one.name)]
    chosen = [one for one in chosen if everything or _is_anonymous(one)]
    if chosen and not force:
        listed = ", ".join(one.name for one in chosen)
        click.confirm(f"This removes {len(chosen)} volumes with all their files: {listed}. Continue?", abort=True)
    freed = 0
    for one in chosen:
        size = store.volumes.size(one.name)
        _remove(session, one.name)
        freed += size
        click.echo(one.name)
    click.echo(f"Total reclaimed space: {text.size(freed)}")


def _remove(session: Session, name: str) -> None:
    if not session.store.volumes.remove(name):
        session.store.left = True


def _chosen(session: Session, filters: Iterable[str]) -> Iterator[StoredVolume]:
    """The volumes that meet all filters. Raises UsageError."""
    wanted = [word.partition("=")[::2] for word in filters]
    for key, value in wanted:
        if key not in _KEYS or not value:
            raise UsageError(f"unknown filter {key!r}", f"known filters: {', '.join(f'{key}=…' for key in _KEYS)}")
    for one in session.store.volumes.all():
        if all(_meets(session, one, key, value) for key, value in wanted):
            yield one


def _meets(session: Session, one: StoredVolume, key: str, value: str) -> bool:
    match key:
        case "name":
            return value in one.name
        case "driver":
            return value == "local"
        case "dangling":
            return session.store.volumes.is_used(one.name) != (value.lower() in ("1", "t", "true"))
    label, equals, content = value.partition("=")
    return label in one.labels and (not equals or one.labels[label] == content)


def _is_anonymous(one: StoredVolume) -> bool:
    return len(one.name) == 64 and set(one.name) <= set("0123456789abcdef")


def _document(one: StoredVolume) -> dict[str, Any]:
    return {
        "CreatedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(one.created)),
        "Driver": "local",
        "Labels": dict(one.labels) or None,
        "Mountpoint": one.files,
        "Name": one.name,
        "Options": None,
        "Scope": "local",
    }
