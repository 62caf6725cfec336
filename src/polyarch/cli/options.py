"""Options that several commands share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from polyarch.cli.progress.modes import MODES

F = TypeVar("F", bound=Callable[..., Any])


def complete_image(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The names of images in the store that begin with `incomplete`."""
    from pathlib import Path

    from polyarch.client import environment
    from polyarch.errors import PolyarchError
    from polyarch.images import names
    from polyarch.store import Store

    program = context.find_root()
    chosen = program.params.get("root")
    root = Path(chosen) if chosen else environment.read(program.obj).root
    try:
        with Store.open(root, create=False) as store:
            short = [names.familiar(name) for name in store.tagged()]
    except (PolyarchError, OSError):
        # A completion cannot show an error; the command itself will.
        return []
    return [name for name in short if name.startswith(incomplete)]


def platform(*, several: bool, help: str) -> Callable[[F], F]:  # noqa: A002 (click's own word)
    """`--platform`: one platform, or if `several`, repeatable and with commas."""
    return click.option("--platform", multiple=several, metavar="PLATFORM", help=help)


def progress(function: F) -> F:
    """`--progress`."""
    return click.option(
        "--progress",
        type=click.Choice((*MODES, "none")),
        callback=lambda _, __, mode: "quiet" if mode == "none" else mode,
        help="How to show progress (default: $BUILDKIT_PROGRESS, else auto)",
    )(function)


def format_(function: F) -> F:
    """`-f/--format`."""
    return click.option("-f", "--format", "form", metavar="FORMAT", help="Output format: json or a Go template")(
        function
    )


def insecure(function: F) -> F:
    """`--insecure`."""
    return click.option("--insecure", is_flag=True, help="Allow plain HTTP and unverified certificates for registries")(
        function
    )
