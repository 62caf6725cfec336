"""`docker compose`: the commands of `polyarch compose`, and those that clients call before them."""

from polyarch.cli.commands import compose as ours
from polyarch.cli.docker.groups import DockerGroup

_HERE = "cli.docker."
_COMMANDS = {
    "Commands": {
        **ours.COMMANDS["Commands"],
        "ls": (f"{_HERE}nothing:projects", "List projects with containers, of which there are none"),
        "ps": (f"{_HERE}nothing:compose_ps", "List containers of services, of which there are none"),
        "version": (f"{_HERE}about:compose_version", "Show the version of docker compose"),
    }
}


class DockerComposeGroup(DockerGroup, ours.ComposeGroup):
    """The group: with docker's errors, and the options of `compose`."""


compose = DockerComposeGroup("compose", sections=_COMMANDS, params=ours.compose.params, help=ours.compose.help)
