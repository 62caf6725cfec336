"""Removing several things that are named: what cannot be removed is reported, and the others are removed."""

from collections.abc import Callable, Iterable

import click

from polyarch.cli.session import Session
from polyarch.errors import NotFoundError, PolyarchError


def remove_each(session: Session, names: Iterable[str], remove: Callable[[str], None], *, force: bool) -> int:
    """Remove each, and print its name. Returns the exit status: 1 if one failed.

    `force` ignores names that do not exist.
    """
    status = 0
    for name in names:
        try:
            remove(name)
        except PolyarchError as error:
            if not (force and isinstance(error, NotFoundError)):
                session.error(error)
                status = 1
            continue
        click.echo(name)
    return status
