"""`serve`: the store as a registry."""

import sys
import traceback

import click

from polyarch.cli.session import Session, pass_session
from polyarch.errors import PolyarchError, UnsupportedError, UsageError

_PORT = 5000


@click.command("serve")
@click.option(
    "--listen",
    default=f"127.0.0.1:{_PORT}",
    metavar="HOST:PORT",
    help=f"Address to listen on (default: 127.0.0.1:{_PORT})",
)
@click.option("--read-only", is_flag=True, help="Refuse pushes and deletions")
@click.option("--no-page", is_flag=True, help="Without the page for browsers")
@pass_session
def serve(session: Session, listen: str, read_only: bool, no_page: bool) -> None:
    """Serve the images in the store as a registry, until it is interrupted."""
    from polyarch.serve.settings import ServeSettings

    host, port = _address(listen)
    settings = ServeSettings(listen=host, port=port, read_only=read_only, page=not no_page)
    try:
        from polyarch.serve import server
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            f"serve needs the Python package {error.name}", "install it with `pip install 'polyarch[serve]'`"
        ) from error

    def started(address: str) -> None:
        click.echo(f"Serving {session.store.layout.root} at http://{address}/")
        if not read_only:
            click.echo(f"Push with: polyarch push {address}/NAME:TAG")
        click.echo(f"Pull with: polyarch pull {address}/NAME:TAG")
        sys.stdout.flush()

    def report(error: Exception) -> None:
        if isinstance(error, PolyarchError):
            session.error(error)
            return
        session.note(f"polyarch: error: a request failed: {type(error).__name__}: {error}")
        if session.debug:
            session.note("".join(traceback.format_exception(error)))

    server.serve(session.store, settings, started, report)


def _address(text: str) -> tuple[str, int]:
    """The host and the port of `--listen`. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, str(_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(
            f"--listen {text!r} is not an address", "expected HOST:PORT, as in 127.0.0.1:5000 or [::1]:5000"
        )
    return host, int(port)
