"""`login` and `logout`: credentials for registries, in the files that docker uses."""

import sys

import click

from polyarch.cli.session import Session, pass_session
from polyarch.errors import UsageError

_DOCKER_HUB = "docker.io"


@click.command("login")
@click.argument("server", required=False, metavar="[SERVER]")
@click.option("-u", "--username", metavar="NAME", help="User name")
@click.option(
    "-p",
    "--password",
    metavar="PASSWORD",
    help="Password. Other users can see it in the process list: prefer --password-stdin",
)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input")
@click.option("--insecure", is_flag=True, help="Allow plain HTTP and unverified certificates for the registry")
@pass_session
def login(
    session: Session,
    server: str | None,
    username: str | None,
    password: str | None,
    password_stdin: bool,
    insecure: bool,
) -> None:
    """Check credentials with a registry and save them in docker's config.json or its credential helper."""
    from polyarch.registry import Credential

    host = _host(server)
    if password and password_stdin:
        raise UsageError("--password and --password-stdin cannot be combined", "choose one of them")
    if password:
        session.note("WARNING: other users can see the password in the process list; use --password-stdin")
    if password_stdin:
        if not username:
            raise UsageError("--password-stdin needs --username", "give the user name of this password")
        password = sys.stdin.read().rstrip("\r\n")
    if not (username and password) and not sys.stdin.isatty():
        raise UsageError(
            "cannot ask for the password: standard input is not a terminal", "give --username and --password-stdin"
        )
    username = username or click.prompt("Username", err=True)
    password = password or click.prompt("Password", hide_input=True, err=True)
    where = session.registry([host] if insecure else ()).login(host, Credential(username=username, password=password))
    session.note(f"credentials saved in {where}")
    click.echo("Login Succeeded")


@click.command("logout")
@click.argument("server", required=False, metavar="[SERVER]")
@pass_session
def logout(session: Session, server: str | None) -> None:
    """Remove the stored credentials of a registry."""
    host = _host(server)
    if session.registry().logout(host):
        click.echo(f"Removing login credentials for {host}")
    else:
        click.echo(f"Not logged in to {host}")


def _host(server: str | None) -> str:
    """The host of a registry. As in docker, `server` may have a scheme and a path, which are ignored."""
    text = (server or _DOCKER_HUB).partition("://")[2] or server or _DOCKER_HUB
    host = text.partition("/")[0]
    return _DOCKER_HUB if host in ("index.docker.io", "registry-1.docker.io", "docker.io") else host
