"""`buildx create`, `inspect`, `ls`, `use`, `stop`, `rm`: builders, which are names here. Polyarch itself builds."""

import re
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from polyarch.cli.docker import builder_state, versions
from polyarch.cli.docker.builder_state import DEFAULT, BuilderState, NamedBuilder, NamedNode
from polyarch.cli.formats import show
from polyarch.cli.session import Session, pass_session
from polyarch.errors import ConflictError, NotFoundError, UsageError
from polyarch.render import tables

if TYPE_CHECKING:
    from polyarch.cli.docker.session import DockerSession

_DRIVERS = ("docker", "docker-container", "kubernetes", "remote", "cloud")
_ENDPOINT = "polyarch"
# Clients expect one object for each builder of it.
_JSON = re.compile(r"\{\{\s*json\s+\.\s*\}\}")
_TITLES = {
    "Name": "NAME/NODE",
    "DriverEndpoint": "DRIVER/ENDPOINT",
    "LastActivity": "LAST ACTIVITY",
    "Status": "STATUS",
    "Buildkit": "BUILDKIT",
    "Platforms": "PLATFORMS",
}
_COLUMNS = ("Name", "DriverEndpoint", "Status", "Buildkit", "Platforms")


def current(session: Session) -> str:
    """The name of the builder that is used: that of `--builder` or BUILDX_BUILDER, else the current one."""
    variables = session.environment.variables
    return variables.get("BUILDX_BUILDER") or builder_state.current(variables)


def choose(session: "DockerSession", name: str, *, builds: bool) -> None:
    """Use the builder of `--builder`. One that was never made is as good as any, and from then on it is listed."""
    session.set_variable("BUILDX_BUILDER", name)
    state = _state(session)
    if builds and state.builder(name) is None:
        session.note(f'no builder "{name}" was created, which makes no difference: Polyarch itself builds')
        _keep(session, state, builder_state.made(builder_state.checked(name)))


def _state(session: Session) -> BuilderState:
    return builder_state.read(session.environment.variables)


def _made(state: BuilderState, name: str) -> NamedBuilder | None:
    """The builder that `create` made under this name. That of a context can be made, too."""
    known = state.builder(name)
    return known if known is not None and known.name in state.builders else None


def _write(session: Session, state: BuilderState) -> None:
    builder_state.write(session.environment.variables, state)


def _keep(session: Session, state: BuilderState, builder: NamedBuilder) -> BuilderState:
    builder = msgspec.structs.replace(builder, used=time.time())
    state = msgspec.structs.replace(state, builders={**state.builders, builder.name: builder})
    _write(session, state)
    return state


@click.command("create")
@click.argument("endpoint", required=False, metavar="[ENDPOINT]")
@click.option("--name", default="", metavar="NAME", help="Name of the builder")
@click.option("--driver", default="", metavar="DRIVER", help="Driver that `inspect` shows")
@click.option("--driver-opt", "driver_options", multiple=True, metavar="KEY=VALUE", help="Options of the driver")
@click.option("--buildkitd-flags", default="", metavar="FLAGS", help="Flags of buildkitd")
@click.option("--platform", "platforms", multiple=True, metavar="PLATFORM", help="Platforms of the node")
@click.option("--buildkitd-config", "--config", default="", metavar="FILE", help="Configuration of buildkitd")
@click.option("--use", is_flag=True, help="Make it the current builder")
@click.option("--append", is_flag=True, help="Add a node to a builder")
@click.option("--node", default="", metavar="NAME", help="Name of the node")
@click.option("--leave", is_flag=True, help="Remove a node from a builder")
@click.option("--bootstrap", is_flag=True, help="There is nothing to start")
@click.option("--timeout", hidden=True, expose_value=False)
@pass_session
def create(session: Session, /, **words: Any) -> None:
    """Name a builder. Polyarch itself builds, so drivers, endpoints and the options of BuildKit have no effect."""
    state = _state(session)
    name = words["name"]
    if words["leave"]:
        _leave(session, state, name, words["node"])
        return
    if words["driver"] and words["driver"] not in _DRIVERS:
        raise UsageError(f'failed to find driver "{words["driver"]}"', f"drivers: {', '.join(_DRIVERS)}")
    if words["driver"] == "docker":
        raise UsageError('additional instances of driver "docker" cannot be created')
    if words["buildkitd_config"] and not Path(words["buildkitd_config"]).is_file():
        raise NotFoundError(f"there is no file {words['buildkitd_config']}")
    if name == DEFAULT:
        raise UsageError("default is a reserved name and cannot be used to identify builder instance")
    if words["append"] and not name:
        raise UsageError("append requires a builder name", "name it with --name")
    name = builder_state.checked(name or (current(session) if words["append"] else f"builder-{secrets.token_hex(4)}"))
    known = _made(state, name)
    if known is not None and not (words["append"] or words["node"]):
        raise ConflictError(
            f'existing instance for "{name}" but no append mode, specify the node name to make changes for existing '
            "instances"
        )
    nodes = known.nodes if known is not None else ()
    name = known.name if known is not None else name
    node = NamedNode(
        name=builder_state.checked(words["node"] or f"{name}{len(nodes)}").lower(),
        endpoint=words["endpoint"] or "",
        platforms=tuple(str(platform) for platform in session.platforms(words["platforms"])),
        options=tuple(part for option in words["driver_options"] for part in option.split(",") if part),
        flags=words["buildkitd_flags"],
    )
    nodes = (*(other for other in nodes if other.name != node.name), node)
    driver = words["driver"] or (known.driver if known is not None else builder_state.DRIVER)
    state = _keep(session, state, NamedBuilder(name=name, driver=driver, nodes=nodes))
    if words["use"]:
        _write(session, msgspec.structs.replace(state, current=name))
    if node.endpoint or node.options or node.flags or words["buildkitd_config"] or driver in ("remote", "kubernetes"):
        session.note("builds run in Polyarch itself, on this machine: endpoints and options of BuildKit have no effect")
    click.echo(name)


def _leave(session: Session, state: BuilderState, name: str, node: str) -> None:
    if not name or not node:
        raise UsageError("--leave needs --name and --node")
    known = _made(state, name)
    if known is None:
        session.note(f'no builder "{name}" found')
        return
    nodes = tuple(other for other in known.nodes if other.name != node.lower())
    _keep(session, state, msgspec.structs.replace(known, nodes=nodes or builder_state.made(known.name).nodes))
    click.echo(known.name)


@click.command("inspect")
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--bootstrap", is_flag=True, help="There is nothing to start")
@click.option("--timeout", hidden=True, expose_value=False)
@pass_session
def inspect(session: Session, name: str | None, bootstrap: bool) -> None:
    """Show a builder: the one that is named, or the current one."""
    name = name or current(session)
    builder = _state(session).builder(name)
    if builder is None:
        raise NotFoundError(f'no builder "{name}" found')
    lines = [f"Name:          {builder.name}", f"Driver:        {builder.driver}"]
    if builder.used:
        lines.append(f"Last Activity: {_moment(builder.used, '%Y-%m-%d %H:%M:%S +0000 UTC')}")
    lines += ["", "Nodes:"]
    able = _able(session)
    for node in builder.nodes:
        lines += [f"Name:             {node.name}", f"Endpoint:         {node.endpoint or _ENDPOINT}"]
        if node.options:
            lines.append(f"Driver Options:   {' '.join(_quoted(option) for option in node.options)}")
        lines.append("Status:           running")
        if node.flags:
            lines.append(f"BuildKit daemon flags: {node.flags}")
        lines.append(f"BuildKit version: {versions.BUILDKIT}")
        lines.append(f"Platforms:        {', '.join(_platforms(node, able))}")
        lines += ["Features:", " Multi-platform build: true", ""]
    click.echo("\n".join(lines), nl=False)


@click.command("ls")
@click.option("--format", "form", metavar="FORMAT", help="Output format: table, json or a Go template")
@click.option("--no-trunc", is_flag=True, help="Show all platforms")
@pass_session
def ls(session: Session, form: str | None, no_trunc: bool) -> None:
    """List the builders."""
    chosen, able = current(session), _able(session)
    builders = _state(session).all()
    shown = form or "table"
    if shown == "json" or _JSON.fullmatch(shown):
        show("json", [_document(builder, chosen, able) for builder in builders], str, {})
        return
    rows: list[dict[str, Any]] = []
    for builder in builders:
        document = _document(builder, chosen, able)
        # As in buildx, the fields of a row are those of its builder or of its node.
        rows.append(_row(builder, document, starred=shown.startswith("table")))
        rows += [
            _node_row(document, node, able, indent=r" \_ " if shown.startswith("table") else "", full=no_trunc)
            for node in builder.nodes
        ]

    def table() -> str:
        return tables.render([_TITLES[name] for name in _COLUMNS], [[row[name] for name in _COLUMNS] for row in rows])

    show(form, rows, table, _TITLES)


def _row(builder: NamedBuilder, document: Mapping[str, Any], *, starred: bool) -> dict[str, Any]:
    return {
        **document,
        "Builder": document,
        "Name": f"{builder.name}*" if starred and document["Current"] else builder.name,
        "DriverEndpoint": builder.driver,
        "LastActivity": document["LastActivity"] if builder.used else "",
        **dict.fromkeys(("Status", "Buildkit", "Platforms", "Error"), ""),
    }


def _node_row(
    document: Mapping[str, Any], node: NamedNode, able: Iterable[str], *, indent: str, full: bool
) -> dict[str, Any]:
    names = _platforms(node, able)
    few = full or not indent or len(names) < 5
    return {
        **document,
        "Builder": document,
        "Name": f"{indent}{node.name}",
        "DriverEndpoint": f"{indent}{node.endpoint or _ENDPOINT}",
        "LastActivity": "",
        "Status": "running",
        "Buildkit": versions.BUILDKIT,
        "Platforms": ", ".join(names if few else [*names[:3], f"(+{len(names) - 3})"]),
        "Error": "",
    }


def _document(builder: NamedBuilder, chosen: str, able: Iterable[str]) -> dict[str, Any]:
    return {
        "Name": builder.name,
        "Driver": builder.driver,
        "LastActivity": _moment(builder.used, "%Y-%m-%dT%H:%M:%SZ") if builder.used else "0001-01-01T00:00:00Z",
        "Dynamic": False,
        "Nodes": [
            {
                "Name": node.name,
                "Endpoint": node.endpoint or _ENDPOINT,
                "Flags": node.flags.split() or None,
                "Status": "running",
                "Version": versions.BUILDKIT,
                "IDs": None,
                "Platforms": _platforms(node, able),
                "Labels": None,
            }
            for node in builder.nodes
        ],
        "Current": builder.name == chosen,
    }


@click.command("use")
@click.argument("name", metavar="NAME")
@click.option("--default", is_flag=True, help="Accepted: there is one current builder")
@click.option("--global", "everywhere", is_flag=True, help="Accepted: there is one current builder")
@pass_session
def use(session: Session, name: str, default: bool, everywhere: bool) -> None:
    """Make a builder the current one."""
    state = _state(session)
    known = state.builder(name)
    if known is None:
        session.note(f'no builder "{name}" was created: now it has that name')
        known = builder_state.made(builder_state.checked(name))
        state = _keep(session, state, known)
    if known.name not in state.builders:
        # The builder of a context is used where the context is (buildx, commands/use.go).
        if known.name != builder_state.current_context(session.environment.variables, state):
            raise UsageError(f"run `docker context use {name}` to switch to context {name}")
        known = builder_state.made(DEFAULT)
    _write(session, msgspec.structs.replace(state, current=known.name))


@click.command("stop")
@click.argument("name", required=False, metavar="[NAME]")
def stop(name: str | None) -> None:
    """Stop a builder. There is nothing that runs."""


@click.command("rm")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--keep-state", is_flag=True, help="Accepted: the cache is in the store, and stays there")
@click.option("--keep-daemon", is_flag=True, help="Accepted: there is no daemon")
@click.option("--all-inactive", is_flag=True, help="Remove all builders")
@click.option("-f", "--force", is_flag=True, help="Accepted: nothing is asked")
@click.option("--timeout", hidden=True, expose_value=False)
@pass_session
def rm(
    session: Session, names: tuple[str, ...], keep_state: bool, keep_daemon: bool, all_inactive: bool, force: bool
) -> None:
    """Remove the names of builders; succeeds without such a builder. The cache stays: `buildx prune` removes it."""
    if all_inactive and names:
        raise UsageError("cannot specify builder name when --all-inactive is set")
    state = _state(session)
    wanted = tuple(state.builders) if all_inactive else names or (current(session),)
    made = {name: _made(state, name) for name in wanted}
    gone = {builder.name for builder in made.values() if builder is not None}
    if gone:
        left = {name: builder for name, builder in state.builders.items() if name not in gone}
        chosen = DEFAULT if state.current in gone else state.current
        _write(session, msgspec.structs.replace(state, builders=left, current=chosen))
    for name, builder in made.items():
        session.note(f'no builder "{name}" found' if builder is None else f"{name} removed")


def _able(session: Session) -> list[str]:
    """The platforms that run here."""
    from polyarch.cli.commands.platforms import supported

    return [str(support.platform) for support in supported(session) if support.how != "missing"]


def _platforms(node: NamedNode, able: Iterable[str]) -> list[str]:
    """The platforms of a node as buildx shows them. Those that `create` was given have a star, and stand first."""
    return [f"{one}*" for one in node.platforms] + [one for one in able if one not in node.platforms]


def _quoted(option: str) -> str:
    key, _, value = option.partition("=")
    return f'{key}="{value}"'


def _moment(used: float, form: str) -> str:
    return time.strftime(form, time.gmtime(used))
