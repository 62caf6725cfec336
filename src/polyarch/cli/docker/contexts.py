"""`context`: docker's contexts. Each names an engine, and none is used, because Polyarch does the work itself."""

from typing import Any

import click
import msgspec

from polyarch.cli import options
from polyarch.cli.docker import builder_state
from polyarch.cli.docker.builder_state import DEFAULT, BuilderState
from polyarch.cli.formats import show, show_document
from polyarch.cli.session import Session, pass_session
from polyarch.errors import ConflictError, NotFoundError
from polyarch.render import tables

_SOCKET = "unix:///var/run/docker.sock"
_NOTE = "a context has no effect on builds: Polyarch does the work itself, on this machine"


def _state(session: Session) -> BuilderState:
    return builder_state.read(session.environment.variables)


def _current(session: Session) -> str:
    return builder_state.current_context(session.environment.variables, _state(session))


def _endpoint(session: Session, name: str) -> str:
    """The endpoint of a context. Raises NotFoundError."""
    known = _state(session).contexts
    if name not in known and name != DEFAULT:
        raise NotFoundError(f'context "{name}": context not found')
    return known.get(name) or session.environment.variables.get("DOCKER_HOST") or _SOCKET


@click.command("inspect")
@click.argument("names", nargs=-1, metavar="[CONTEXT...]")
@options.format_
@pass_session
def inspect(session: Session, names: tuple[str, ...], form: str | None) -> None:
    """Show contexts as JSON: the current one, or those that are named."""
    documents: list[Any] = [
        {
            "Name": name,
            "Metadata": {},
            "Endpoints": {"docker": {"Host": _endpoint(session, name), "SkipTLSVerify": False}},
            "TLSMaterial": {},
            "Storage": {"MetadataPath": "<IN MEMORY>", "TLSPath": "<IN MEMORY>"},
        }
        for name in names or (_current(session),)
    ]
    show_document(form, documents)


@click.command("ls")
@click.option("--format", "form", metavar="FORMAT", help="Output format: table, json or a Go template")
@click.option("-q", "--quiet", is_flag=True, help="Print names only")
@pass_session
def ls(session: Session, form: str | None, quiet: bool) -> None:
    """List the contexts."""
    current = _current(session)
    rows = [
        {
            "Name": name,
            "Description": "",
            "DockerEndpoint": _endpoint(session, name),
            "Current": name == current,
            "Error": "",
        }
        for name in dict.fromkeys([DEFAULT, *_state(session).contexts])
    ]
    if quiet:
        click.echo("\n".join(str(row["Name"]) for row in rows))
        return
    header = ("NAME", "DESCRIPTION", "DOCKER ENDPOINT", "ERROR")

    def table() -> str:
        return tables.render(
            header,
            [(f"{row['Name']}{' *' if row['Current'] else ''}", "", str(row["DockerEndpoint"]), "") for row in rows],
        )

    show(form, rows, table, {"DockerEndpoint": "DOCKER ENDPOINT"})


@click.command("show")
@pass_session
def show_current(session: Session) -> None:
    """Print the name of the current context."""
    click.echo(_current(session))


@click.command("create")
@click.argument("name", metavar="CONTEXT")
@click.option("--docker", "endpoint", default="", metavar="host=…", help="The engine of the context")
@click.option("--description", default="", hidden=True)
@click.option("--from", "source", default="", hidden=True)
@pass_session
def create(session: Session, name: str, endpoint: str, description: str, source: str) -> None:
    """Name a context. It has no effect on builds."""
    state = _state(session)
    if name in state.contexts or name == DEFAULT:
        raise ConflictError(f'context "{name}" already exists')
    parts = dict(part.partition("=")[::2] for part in endpoint.split(",") if part)
    host = parts.get("host") or (_endpoint(session, source) if source else "")
    state = msgspec.structs.replace(state, contexts={**state.contexts, name: host})
    builder_state.write(session.environment.variables, state)
    session.note(_NOTE)
    click.echo(name)


@click.command("use")
@click.argument("name", metavar="CONTEXT")
@pass_session
def use(session: Session, name: str) -> None:
    """Make a context the current one. It has no effect on builds."""
    _endpoint(session, name)
    builder_state.write(session.environment.variables, msgspec.structs.replace(_state(session), context=name))
    session.note(_NOTE)
    click.echo(name)


@click.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="CONTEXT...")
@click.option("-f", "--force", is_flag=True, help="Remove the current context, too")
@pass_session
def rm(session: Session, names: tuple[str, ...], force: bool) -> None:
    """Remove contexts. Succeeds for one that does not exist."""
    state = _state(session)
    contexts = {name: host for name, host in state.contexts.items() if name not in names}
    context = state.context if state.context in contexts else DEFAULT
    if len(contexts) != len(state.contexts) or context != state.context:
        builder_state.write(
            session.environment.variables, msgspec.structs.replace(state, contexts=contexts, context=context)
        )
    for name in names:
        if name in state.contexts:
            click.echo(name)
        else:
            session.note(f'context "{name}" does not exist')
