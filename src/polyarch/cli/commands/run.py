"""`run`: run a command in an image."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polyarch import progress
from polyarch.cli import options
from polyarch.cli.docker_flags import docker_flags
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UsageError

if TYPE_CHECKING:
    from typing import Literal

    from polyarch.images.run import RunOptions
    from polyarch.oci.place import Source
    from polyarch.progress import Event
    from polyarch.sandbox import Process
    from polyarch.transfer.choose import ChosenImage


@click.command("run", context_settings={"allow_interspersed_args": False})
@click.argument("image", metavar="IMAGE", shell_complete=options.complete_image)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND] [ARG...]")
@options.platform(several=False, help="Platform (default: this machine's)")
@click.option(
    "-e",
    "--env",
    "env",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Set a variable; without =VALUE, pass the value through from the environment",
)
@click.option("--env-file", "env_files", multiple=True, metavar="FILE", help="Read variables from FILE")
@click.option("-w", "--workdir", default="", metavar="DIR", help="Working directory of the command")
@click.option("-u", "--user", default="", metavar="USER[:GROUP]", help="Run as this user (and group)")
@click.option("-v", "--volume", "volumes", multiple=True, metavar="SRC:DST[:ro]", help="Mount a directory of the host")
@click.option("--rm", is_flag=True, help="Remove the container when it ends (always done)")
@click.option("-i", "--interactive", is_flag=True, help="Keep standard input open")
@click.option("-t", "--tty", is_flag=True, help="Allocate a terminal")
@click.option("--entrypoint", metavar="COMMAND", help="Replace the entrypoint of the image")
@click.option("--network", "--net", type=click.Choice(["host", "none"]), default="host", help="Network (default: host)")
@click.option(
    "--pull",
    type=click.Choice(["always", "missing", "never"]),
    default="missing",
    help="When to pull the image (default: missing)",
)
@click.option("-h", "--hostname", default="polyarch", metavar="NAME", help="Host name of the container")
@click.option("--read-only", is_flag=True, help="Mount the image read-only; volumes stay writable")
@click.option("-q", "--quiet", is_flag=True, help="Do not show the progress of a pull")
@options.insecure
@docker_flags("run")
@pass_session
def run(
    session: Session,
    image: str,
    arguments: tuple[str, ...],
    platform: str | None,
    env: tuple[str, ...],
    env_files: tuple[str, ...],
    workdir: str,
    user: str,
    volumes: tuple[str, ...],
    rm: bool,
    interactive: bool,
    tty: bool,
    entrypoint: str | None,
    network: "Literal['host', 'none']",
    pull: "Literal['always', 'missing', 'never']",
    hostname: str,
    read_only: bool,
    quiet: bool,
    insecure: bool,
) -> int:
    """Run a command in a container, for this machine's platform or another. Exits with the status of the command.

    Removes the container when the command ends.
    """
    from polyarch.cli import run_flags
    from polyarch.images.run import RunOptions, find

    if tty and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("--tty needs a terminal, but standard input and output are not one", "omit -t")
    variables = session.environment.variables
    changes = RunOptions(
        arguments=arguments,
        entrypoint=None if entrypoint is None else tuple(filter(None, [entrypoint])),
        env=(*run_flags.env_files(env_files, variables), *run_flags.env(env, variables)),
        cwd=workdir,
        user=user,
        mounts=tuple(run_flags.volume(volume, Path.cwd()) for volume in volumes),
        network=network,
        hostname=hostname,
        terminal=tty,
        read_only=read_only,
    )
    registry = session.registry_for([image] if insecure else ())
    with session.display("quiet" if quiet else None, verb="Pulling") as emit:
        chosen, source = find(session.store, registry, image, session.platform(platform), session.host(), pull, emit)
    return _run(session, source, chosen, _process(chosen, changes, image), interactive=interactive or tty)


def _process(chosen: "ChosenImage", changes: "RunOptions", image: str) -> "Process":
    import msgspec

    from polyarch.cli import forwarding
    from polyarch.images.run import process

    # Asked for only now: a pull may have taken minutes.
    size = forwarding.terminal_size() if changes.terminal else (0, 0)
    return process(chosen.config, msgspec.structs.replace(changes, terminal_size=size), image)


def _run(session: Session, source: "Source", chosen: "ChosenImage", process: "Process", *, interactive: bool) -> int:
    from polyarch.cli import forwarding
    from polyarch.images import run as running
    from polyarch.sandbox import enter
    from polyarch.sandbox.starting import StartError

    # The pull has ended its threads: the kernel lets only a process of one thread enter a user namespace.
    for warning in enter(session.environment.search_path).warnings:
        session.warn(warning)
    session.store.maintenance.reclaim()
    streams = running.Streams(0 if interactive else None, 1, 2)
    sys.stdout.flush()

    def warn(event: "Event") -> None:
        if isinstance(event, progress.Warned):
            session.warn(event.message, event.detail)

    forwarding.forward_signals(time.monotonic, terminal=process.terminal)
    try:
        return running.run(session.store, source, chosen, process, session.environment.search_path, streams, warn)
    except StartError as error:
        session.error(error)
        return error.status
