"""`farm up`: a scheduler with members, started and ended by one command."""

import contextlib
from typing import Any

import click

from polyarch.cli.commands.farm import bundle_of, certificate_options, member_options, silence_option
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UsageError


@click.command("up")
@click.argument("words", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--ssh", "hosts", multiple=True, metavar="[USER@]HOST", help="Start a member there; repeatable")
@click.option("--dask-cluster", "cluster", metavar="MODULE:CLASS", help="Start members with this class of Dask")
@click.option("--scheduler", metavar="ADDRESS", help="Use this scheduler instead of a new one")
@click.option("--listen", metavar="HOST[:PORT]", help="Where the scheduler of --ssh listens (default: 127.0.0.1:8786)")
@click.option("--ssh-option", "ssh_options", multiple=True, metavar="OPTION", help="An option of ssh, as -p2222")
@click.option("--command", default="polyarch", metavar="COMMAND", help="What starts Polyarch there (default: polyarch)")
@click.option("--platform", "platform", multiple=True, metavar="LIST", help="Platforms that members offer")
@click.option("--slots", type=click.IntRange(1, 512), metavar="NUMBER", help="Steps that each member does at once")
@silence_option
@certificate_options
@pass_session
def up(session: Session, /, **given: Any) -> None:
    """Start a farm, and end it when this command is interrupted.

    With --ssh, members run on machines that ssh reaches without a password, and on which Polyarch is installed. They
    get their certificate over the connection. With --dask-cluster, Dask starts a scheduler and workers, and KEY=VALUE
    are arguments of the class: polyarch farm up --dask-cluster dask.distributed:LocalCluster n_workers=2
    """
    if bool(given["hosts"]) == bool(given["cluster"]):
        raise UsageError("farm up starts members with --ssh HOST or with --dask-cluster MODULE:CLASS")
    if given["cluster"]:
        _cluster(session, given)
        return
    if given["words"]:
        raise UsageError(f"{given['words'][0]!r}: KEY=VALUE are arguments for --dask-cluster")
    _ssh(session, given)


def _ssh(session: Session, given: dict[str, Any]) -> None:
    from polyarch.farm import up as farms
    from polyarch.farm.addresses import scheduler_address

    plain = given["insecure"] and not given["farm_cert"]
    bundle = None if plain else bundle_of(session, "worker", given["farm_cert"])
    arguments = ["--silence", str(given["silence"])]
    for platform in given["platform"]:
        arguments += ["--platform", platform]
    if given["slots"]:
        arguments += ["--slots", str(given["slots"])]
    options = farms.SSHOptions(options=given["ssh_options"], command=given["command"], arguments=tuple(arguments))
    with contextlib.ExitStack() as stack:
        if given["scheduler"]:
            address = scheduler_address(given["scheduler"], insecure=given["insecure"])
        else:
            listen = given["listen"] or "127.0.0.1:8786"
            farms.check_reach(listen, given["hosts"])
            certificate = None if plain else _path(session, given["farm_cert"])
            address = stack.enter_context(farms.scheduler(listen, certificate, given["silence"]))
        click.echo(address)
        members = [farms.SSHMember(host, address, bundle, options) for host in given["hosts"]]
        stack.enter_context(farms.SSHFarm(members, session.note)).serve()


def _cluster(session: Session, given: dict[str, Any]) -> None:
    from polyarch.farm import clusters

    for option in ("scheduler", "ssh_options", "listen"):
        if given[option]:
            raise UsageError(
                f"--{option.replace('_options', '-option')} belongs to --ssh",
                "arguments of the class are KEY=VALUE, such as scheduler_port=8786",
            )
    bundle = None if given["insecure"] and not given["farm_cert"] else bundle_of(session, "worker", given["farm_cert"])
    options = member_options(session, given["platform"], "", given["slots"], given["silence"])
    arguments = clusters.values_of(given["words"])
    clusters.serve(given["cluster"], arguments, options, bundle, given["silence"], click.echo)


def _path(session: Session, path: str | None) -> str:
    """The certificates, as a path for another process."""
    from polyarch.cli.commands.farm import directory_of

    return path or session.environment.variables.get("POLYARCH_FARM_CERT") or str(directory_of(session))
