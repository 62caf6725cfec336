"""`serve`: the store as a registry."""

import sys
import time
import traceback
from typing import TYPE_CHECKING, Literal

import click

from polyarch.cli.session import Session, pass_session
from polyarch.errors import PolyarchError, UnsupportedError, UsageError

if TYPE_CHECKING:
    from polyarch.serve.server import Listening
    from polyarch.serve.settings import ServeSettings

_PORT = 5000


@click.command("serve")
@click.option(
    "--listen",
    default=f"127.0.0.1:{_PORT}",
    metavar="HOST:PORT",
    help=f"Address to listen on (default: 127.0.0.1:{_PORT})",
)
@click.option("--read-only", is_flag=True, help="Refuse pushes and deletions")
@click.option(
    "--auth",
    nargs=2,
    type=(click.Choice(("htpasswd", "token")), click.Path(dir_okay=False, resolve_path=True)),
    metavar="KIND FILE",
    help="Who may use it: htpasswd FILE (names and passwords), or token FILE (tokens with rights)",
)
@click.option(
    "--tls",
    nargs=2,
    type=click.Path(dir_okay=False, resolve_path=True),
    metavar="CERT KEY",
    help="Certificate chain and key, PEM files",
)
@click.option("--tls-self-signed", is_flag=True, help="Make a certificate, signed by an authority of this store")
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="A name by which clients reach the server, beside its address (for the certificate, and in requests)",
)
@click.option(
    "--insecure", is_flag=True, help="Listen where other machines reach it without TLS or authentication, too"
)
@click.option("--quota", metavar="SIZE", help="Limit of what is pushed, such as 50GB")
@click.option(
    "--mirror",
    "mirrors",
    multiple=True,
    metavar="HOST",
    help="Fetch images of this registry when they are asked for, and keep them as long as there is room",
)
@click.option("--no-page", is_flag=True, help="Without the page for browsers")
@pass_session
def serve(
    session: Session,
    listen: str,
    read_only: bool,
    auth: "tuple[Literal['htpasswd', 'token'], str] | None",
    tls: tuple[str, str] | None,
    tls_self_signed: bool,
    names: tuple[str, ...],
    insecure: bool,
    quota: str | None,
    mirrors: tuple[str, ...],
    no_page: bool,
) -> None:
    """Serve the images in the store as a registry, until it is interrupted."""
    from polyarch.buildflags.size import bytes_of
    from polyarch.serve.settings import Auth, ServeSettings, TLSFiles

    if tls and tls_self_signed:
        raise UsageError("--tls and --tls-self-signed exclude each other")
    host, port = _address(listen)
    settings = ServeSettings(
        listen=host,
        port=port,
        read_only=read_only,
        page=not no_page,
        auth=None if auth is None else Auth(*auth),
        tls=None if tls is None else TLSFiles(*tls),
        self_signed=tls_self_signed,
        names=names,
        insecure=insecure,
        quota=None if quota is None else bytes_of(quota),
        mirrors=mirrors,
    )
    _run(session, settings)


def _run(session: Session, settings: "ServeSettings") -> None:
    from polyarch.serve.surroundings import ServeSurroundings

    try:
        from polyarch.serve import server
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            f"serve needs the Python package {error.name}", "install it with `pip install 'polyarch[serve]'`"
        ) from error

    def started(what: "Listening") -> None:
        click.echo(f"Serving {session.store.layout.root} at {what.scheme}://{what.authority}/")
        for line in what.advice:
            click.echo(line)
        if not settings.read_only:
            click.echo(f"Push with: polyarch push {what.authority}/NAME:TAG")
        click.echo(f"Pull with: polyarch pull {what.authority}/NAME:TAG")
        sys.stdout.flush()

    def report(error: Exception) -> None:
        if isinstance(error, PolyarchError):
            session.error(error)
            return
        session.note(f"polyarch: error: a request failed: {type(error).__name__}: {error}")
        if session.debug:
            session.note("".join(traceback.format_exception(error)))

    surroundings = ServeSurroundings(
        now=time.time,
        open_registry=session.new_registry,
        open_store=session.new_store,
        report=report,
        log=session.note if session.debug else None,
    )
    server.serve(session.store, settings, surroundings, started)


def _address(text: str) -> tuple[str, int]:
    """The host and the port of `--listen`. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    if not colon:
        host, port = text, str(_PORT)
    host = host.removeprefix("[").removesuffix("]")
    # A number alone would be an address in the old form of inet_aton(3).
    if not host or host.isdecimal() or not port.isdecimal() or int(port) > 65535:
        raise UsageError(
            f"--listen {text!r} is not an address", "expected HOST:PORT, as in 127.0.0.1:5000 or [::1]:5000"
        )
    return host, int(port)
