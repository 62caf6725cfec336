"""The commands of `docker`, and of docker's plugin: those of Polyarch, and what only docker has."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from polyarch.cli.commands import program as ours
from polyarch.cli.commands.system import COMMANDS as SYSTEM
from polyarch.cli.docker import builder_state, versions
from polyarch.cli.docker.groups import CHOSEN, BuildxGroup, DockerGroup
from polyarch.cli.docker.session import DockerSession
from polyarch.client import environment
from polyarch.errors import UsageError

_HERE = "cli.docker."
_INFO = (f"{_HERE}about:info", "Show the machine and the store")
_INSPECT = (f"{_HERE}images:inspect", "Show the details of images, as JSON")
_PS = (f"{_HERE}nothing:ps", "List containers, of which there are none")
_PRUNE = ours.BUILDER["Commands"]["prune"]
_BUILD = ours.PROGRAM["Common Commands"]["build"]
_LIST = ours.IMAGE["Commands"]["ls"]

IMAGE = {
    "Commands": {
        **ours.IMAGE["Commands"],
        "inspect": _INSPECT,
        "list": _LIST,
        "remove": ours.IMAGE["Commands"]["rm"],
    }
}
BUILDX = {
    "Commands": {
        **ours.BUILDX["Commands"],
        "b": _BUILD,
        "create": (f"{_HERE}builders:create", "Name a builder"),
        "inspect": (f"{_HERE}builders:inspect", "Show a builder and its platforms"),
        "install": (f"{_HERE}about:install", "Make docker build mean docker buildx build"),
        "ls": (f"{_HERE}builders:ls", "List the builders"),
        "prune": _PRUNE,
        "rm": (f"{_HERE}builders:rm", "Remove the names of builders"),
        "stop": (f"{_HERE}builders:stop", "Stop a builder"),
        "uninstall": (f"{_HERE}about:install", "Accepted: docker build stays docker buildx build"),
        "use": (f"{_HERE}builders:use", "Make a builder the current one"),
        "version": (f"{_HERE}about:buildx_version", "Show the version of buildx"),
    }
}
CONTEXT = {
    "Commands": {
        "create": (f"{_HERE}contexts:create", "Name a context"),
        "inspect": (f"{_HERE}contexts:inspect", "Show contexts, as JSON"),
        "list": (f"{_HERE}contexts:ls", "List the contexts"),
        "ls": (f"{_HERE}contexts:ls", "List the contexts"),
        "rm": (f"{_HERE}contexts:rm", "Remove contexts"),
        "show": (f"{_HERE}contexts:show_current", "Print the name of the current context"),
        "use": (f"{_HERE}contexts:use", "Make a context the current one"),
    }
}
BUILDER = {
    "Commands": {
        "build": _BUILD,
        "ls": (f"{_HERE}builders:ls", "List the builders"),
        "prune": _PRUNE,
    }
}
CONTAINER = {
    "Commands": {
        "list": _PS,
        "ls": _PS,
        "prune": (f"{_HERE}nothing:prune_containers", "Remove containers, of which there are none"),
        "ps": _PS,
        "run": ours.PROGRAM["Common Commands"]["run"],
    }
}
NETWORK = {
    "Commands": {
        "ls": (f"{_HERE}nothing:networks", "List networks, of which there are none"),
        "list": (f"{_HERE}nothing:networks", "List networks, of which there are none"),
        "prune": (f"{_HERE}nothing:prune_networks", "Remove networks, of which there are none"),
    }
}
PROGRAM = {
    "Common Commands": {
        **ours.PROGRAM["Common Commands"],
        "ps": _PS,
        "version": (f"{_HERE}about:version", "Show the version of docker"),
        "info": _INFO,
    },
    "Management Commands": {
        **ours.PROGRAM["Management Commands"],
        "builder": (f"{_HERE}program:builder", "The commands of docker builder"),
        "buildx": (f"{_HERE}program:buildx", "The commands of docker buildx"),
        "compose": (f"{_HERE}composing:compose", "Build and check compose files"),
        "container": (f"{_HERE}program:container", "The commands of docker container"),
        "context": (f"{_HERE}program:context", "The commands of docker context"),
        "image": (f"{_HERE}program:image", "The commands of docker image"),
        "network": (f"{_HERE}program:network", "The commands of docker network"),
        "system": (f"{_HERE}program:system", "Manage the store"),
    },
    "Commands": {**ours.PROGRAM["Commands"], "inspect": _INSPECT},
}
PLUGIN = {"Commands": {**BUILDX["Commands"], "buildx": (f"{_HERE}program:buildx", "The same commands")}}

_BUILDER_OPTIONS = [
    click.Option(["--builder"], metavar="string", help="Override the configured builder instance"),
    click.Option(["-D", "--debug"], is_flag=True, help="Show tracebacks, and all requests to registries"),
]
_GLOBAL_OPTIONS = [
    click.Option(["--config"], metavar="DIR", help="Directory of docker's configuration (default: $DOCKER_CONFIG)"),
    click.Option(["-c", "--context"], metavar="NAME", help="Accepted: no engine is used"),
    click.Option(["-D", "--debug"], is_flag=True, help="Show tracebacks, and all requests to registries"),
    click.Option(["-H", "--host", "hosts"], multiple=True, metavar="ADDRESS", help="The engine, for docker's plugin"),
    click.Option(["-l", "--log-level"], metavar="LEVEL", help="Accepted: there is no log"),
    click.Option(["--root"], hidden=True),
    *(click.Option([name], is_flag=True, hidden=True) for name in ("--tls", "--tlsverify")),
    *(click.Option([name], hidden=True) for name in ("--tlscacert", "--tlscert", "--tlskey")),
]


def _options(*, builder: bool) -> list[click.Parameter]:
    return [*_GLOBAL_OPTIONS, *([_BUILDER_OPTIONS[0]] if builder else [])]


def _open(context: click.Context, words: Mapping[str, Any], *, plugin: bool) -> None:
    """Make the session of the command from the global options. `execute` passes the variables of the environment."""
    variables = dict(context.obj)
    if words["config"]:
        variables["DOCKER_CONFIG"] = words["config"]
    if words["hosts"] and words["context"]:
        raise UsageError("conflicting options: cannot specify both --host and --context")
    if words["hosts"]:
        variables["DOCKER_HOST"] = words["hosts"][-1]
    elif plugin and not variables.get("DOCKER_HOST"):
        # Else an image would go to the store if no engine runs, and `docker images` would not show it.
        variables["DOCKER_HOST"] = "unix:///var/run/docker.sock"
    if words["context"]:
        variables["DOCKER_CONTEXT"] = words["context"]
        if not plugin:
            variables.pop("DOCKER_HOST", None)
    if not variables.get("BUILDX_BUILDER"):
        variables["BUILDX_BUILDER"] = builder_state.current(variables)
    root = Path(words["root"]) if words["root"] else None
    session = DockerSession(environment.read(variables), root=root, debug=words["debug"], plugin=plugin)
    context.obj = context.with_resource(session)
    _choose_builder(context, session)


def _choose_builder(context: click.Context, session: DockerSession) -> None:
    """Use the builder that --builder names, if the words of the command say so."""
    name, builds = context.meta.get(CHOSEN, ("", False))
    if name:
        from polyarch.cli.docker.builders import choose

        choose(session, name, builds=builds)


@click.pass_context
def _begin(context: click.Context, /, **words: Any) -> None:
    _open(context, words, plugin=False)


@click.pass_context
def _begin_plugin(context: click.Context, /, **words: Any) -> None:
    _open(context, words, plugin=True)


@click.pass_context
def _begin_buildx(context: click.Context, builder: str | None, debug: bool) -> None:
    session = context.find_object(DockerSession)
    assert session is not None
    session.debug = session.debug or debug
    _choose_builder(context, session)


program = DockerGroup(
    "docker",
    sections=PROGRAM,
    params=_options(builder=False),
    callback=_begin,
    help="Docker's commands, done by Polyarch: without a daemon and without root.",
)
plugin = BuildxGroup(
    "docker buildx",
    sections=PLUGIN,
    params=_options(builder=True),
    callback=_begin_plugin,
    help="Docker's plugin for builds, done by Polyarch. Images go to docker's engine with --load.",
)
standalone = BuildxGroup(
    "docker-buildx",
    sections=PLUGIN,
    params=_options(builder=True),
    callback=_begin,
    help="Docker's commands for builds, done by Polyarch: without a daemon and without root.",
)
buildx = BuildxGroup(
    "buildx",
    sections=BUILDX,
    params=_BUILDER_OPTIONS,
    callback=_begin_buildx,
    help="The commands of docker buildx.",
)
builder = DockerGroup("builder", sections=BUILDER, help="The commands of docker builder.")
container = DockerGroup("container", sections=CONTAINER, help="Containers: each ends with the command that runs it.")
context = DockerGroup("context", sections=CONTEXT, help="The commands of docker context.")
image = DockerGroup("image", sections=IMAGE, help="The commands of docker image.")
network = DockerGroup("network", sections=NETWORK, help="Networks, of which there are none.")
system = DockerGroup(
    "system", sections={"Commands": {**SYSTEM["Commands"], "info": _INFO}}, help="Show and manage the store."
)


def plugin_metadata() -> str:
    """What docker asks a plugin before it calls it (cli-plugins/metadata of docker's CLI)."""
    import msgspec

    return msgspec.json.encode(
        {
            "SchemaVersion": "0.1.0",
            "Vendor": "Polyarch",
            "Version": versions.BUILDX,
            "ShortDescription": "Docker Buildx, done by Polyarch",
        }
    ).decode()
