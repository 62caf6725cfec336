"""What only a daemon keeps: the lists of containers and networks are empty, and there is nothing to remove."""

import click

_RAW = {"ignore_unknown_options": True}


def _list(name: str, what: str, header: str) -> click.Command:
    """A command that lists what does not exist. It takes all options of docker's."""

    @click.command(name, context_settings=_RAW, help=f"List {what}. There are none.")
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    @click.option("-q", "--quiet", is_flag=True)
    @click.option("--format", "form")
    def command(words: tuple[str, ...], quiet: bool, form: str | None) -> None:
        if not quiet and not form:
            click.echo(header)

    return command


def _prune(what: str, text: str) -> click.Command:
    """A command that removes what does not exist."""

    @click.command("prune", context_settings=_RAW, help=f"Remove unused {what}. There are none.")
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def command(words: tuple[str, ...]) -> None:
        click.echo(text, nl=bool(text))

    return command


_FREED = "Total reclaimed space: 0B"
ps = _list(
    "ps",
    "containers, which end with the command that runs them",
    "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES",
)
networks = _list("ls", "networks", "NETWORK ID   NAME      DRIVER    SCOPE")
compose_ps = _list("ps", "containers of services", "NAME      IMAGE     COMMAND   SERVICE   CREATED   STATUS    PORTS")
projects = _list("ls", "projects with containers", "NAME                STATUS              CONFIG FILES")
prune_containers = _prune("containers", _FREED)
prune_networks = _prune("networks", "")
