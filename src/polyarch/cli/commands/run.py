"""`run`: run a command in an image."""

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import click
import msgspec

from polyarch.cli import options, run_options
from polyarch.cli.docker_flags import docker_flags
from polyarch.cli.session import Session, pass_session
from polyarch.errors import UnsupportedError, UsageError
from polyarch.images.run import Manner, RunNetwork, RunOptions, stop_signal
from polyarch.images.run_volumes import VolumeUse
from polyarch.store.containers import Container

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from polyarch.cli.run_ports import Published
    from polyarch.oci.place import Source
    from polyarch.sandbox import Mount, Process
    from polyarch.transfer.choose import ChosenImage

Network: TypeAlias = Literal["host", "none", "private"]


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
@run_options.mounts
@run_options.network
@run_options.rights
@run_options.emulation
@run_options.ending
@click.option("--rm", is_flag=True, help="Remove the container when it ends (always done)")
@click.option("-i", "--interactive", is_flag=True, help="Keep standard input open")
@click.option("-t", "--tty", is_flag=True, help="Allocate a terminal")
@click.option("--entrypoint", metavar="COMMAND", help="Replace the entrypoint of the image")
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
def run(session: Session, /, image: str, arguments: tuple[str, ...], **words: Any) -> int:
    """Run a command in a container, for this machine's platform or another. Exits with the status of the command.

    Removes the container when the command ends. SIGTERM stops it as docker stop does, and Ctrl-C ends it; a second one
    kills it.
    """
    from polyarch.cli import run_flags, run_ports
    from polyarch.images.run import find
    from polyarch.sandbox import signals

    if words["tty"] and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("--tty needs a terminal, but standard input and output are not one", "omit -t")
    published = [port for text in words["publish"] for port in run_ports.publish(text)]
    exposed = run_ports.exposed(words["expose"])
    way = _network(session, words, published)
    mounts, volumes = _mounts(words)
    changes = _changes(session, words, arguments, mounts, way)
    if words["stop_signal"]:
        signals.number(words["stop_signal"])
    limits = run_flags.limits(words)
    run_flags.check_labels(words["labels"], words["label_files"])
    registry = session.registry_for([image] if words["insecure"] else ())
    # Ports are opened first: an error is early then, and root loses the right to low ones in a user namespace.
    with run_ports.opened(published if way == "private" else ()) as listeners, contextlib.ExitStack() as more:
        with session.display("quiet" if words["quiet"] else None, verb="Pulling") as emit:
            wanted = session.platform(words["platform"])
            chosen, source = find(session.store, registry, image, wanted, session.host(), words["pull"], emit)
        if words["publish_all"] and way == "private":
            exposed += run_ports.exposed(chosen.config.run.get("ExposedPorts") or ())
            listeners += more.enter_context(run_ports.opened(dict.fromkeys(exposed)))
        for port, listener in listeners:
            if not port.first:
                session.note(f"{_shown(listener.getsockname())} leads to {port} of the container")
        network = RunNetwork(
            tuple((listener, port.container) for port, listener in listeners),
            any(run_flags.is_gateway(host) for host in words["hosts"]),
            run_flags.resolver(words),
        )
        if chosen.config.run.get("Volumes") and words["read_only"]:
            volumes = (*(VolumeUse("", path) for path in chosen.config.run["Volumes"]), *volumes)
        manner = Manner(
            network=network if way == "private" else None,
            volumes=volumes,
            now=time.time(),
            init=words["init"],
            limits=limits,
            emulators=_emulators(session, words),
        )
        made = run_flags.write_cidfile(words["cidfile"]) if words["cidfile"] else ""
        if words["name"]:
            known = Container(
                id=made, name=words["name"], image=image, digest=chosen.descriptor.digest, platform=str(chosen.platform)
            )
            more.enter_context(session.store.containers.hold(known))
        process = _process(chosen, changes, image)
        return _run(session, source, chosen, process, manner, words, stop_signal(chosen.config, changes))


def _emulators(session: Session, words: "Mapping[str, Any]") -> tuple[tuple[str, str], ...]:
    """The emulators of the configuration and of `--emulator`, which comes first. Raises UsageError."""
    from polyarch.buildflags import emulation

    named = emulation.emulators(words["emulators"], Path.cwd(), session.host()) if words["emulators"] else ()
    return (*session.emulators(), *named)


def _network(session: Session, words: "Mapping[str, Any]", published: "Sequence[Published]") -> "Network":
    """The network that `--network` names, or that -p and -P need. Raises UsageError if they contradict each other."""
    given = words["network"]
    ports = bool(published or words["publish_all"])
    if given is None:
        return "private" if ports else "host"
    if given in ("private", "bridge", "default"):
        return "private"
    if given not in ("host", "none"):
        raise UnsupportedError(
            f"--network {given} is not supported: there is no daemon that keeps networks",
            "there are host, none, private",
        )
    if ports and given == "none":
        raise UsageError("--network none and ports contradict each other", "leave out one of them")
    if ports:
        for port in published:
            if port.first not in (0, port.container) or port.address:
                raise UsageError(
                    f"-p with another port or address contradicts --network host: {port}",
                    "leave out --network host: -p then leads into a private network",
                )
        session.note("-p has no effect with --network host: the program listens on this machine itself")
    return "host" if given == "host" else "none"


def _mounts(words: "Mapping[str, Any]") -> "tuple[tuple[Mount, ...], tuple[VolumeUse, ...]]":
    """What is mounted, and the volumes. Raises UsageError for two mounts at one place."""
    from polyarch.cli import run_mounts

    here = Path.cwd()
    found = [run_mounts.volume(text, here) for text in words["volumes"]]
    found += [run_mounts.mount(text, here) for text in words["mounts"]]
    found += [run_mounts.tmpfs(text) for text in words["tmpfs"]]
    targets = [os.path.normpath(mount.target) for mount in found]
    for target in targets:
        if targets.count(target) > 1:
            raise UsageError(f"there are two mounts at {target}", "give each its own place")
    volumes = tuple(mount for mount in found if isinstance(mount, VolumeUse))
    return tuple(mount for mount in found if not isinstance(mount, VolumeUse)), volumes


def _changes(
    session: Session,
    words: "Mapping[str, Any]",
    arguments: tuple[str, ...],
    mounts: "tuple[Mount, ...]",
    way: "Network",
) -> RunOptions:
    from polyarch.cli import run_flags
    from polyarch.sandbox import File

    variables = session.environment.variables
    resolver = run_flags.resolver(words)
    if resolver is not None:
        mounts = (File("/etc/resolv.conf", resolver), *mounts)
    return RunOptions(
        arguments=arguments,
        entrypoint=None if words["entrypoint"] is None else tuple(filter(None, [words["entrypoint"]])),
        env=(*run_flags.env_files(words["env_files"], variables), *run_flags.env(words["env"], variables)),
        cwd=words["workdir"],
        user=words["user"],
        mounts=mounts,
        settings=run_flags.settings(words, way),
        rights=run_flags.rights(words),
        hostname=words["hostname"],
        terminal=words["tty"],
        read_only=words["read_only"],
        stop_signal=words["stop_signal"],
    )


def _shown(address: "tuple[Any, ...]") -> str:
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _process(chosen: "ChosenImage", changes: RunOptions, image: str) -> "Process":
    from polyarch.cli import forwarding
    from polyarch.images.run import process

    # Asked for only now: a pull may have taken minutes.
    size = forwarding.terminal_size() if changes.terminal else (0, 0)
    return process(chosen.config, msgspec.structs.replace(changes, terminal_size=size), image)


def _run(
    session: Session,
    source: "Source",
    chosen: "ChosenImage",
    process: "Process",
    manner: Manner,
    words: "Mapping[str, Any]",
    stop: int,
) -> int:
    from polyarch.cli import forwarding
    from polyarch.images import run as running
    from polyarch.sandbox import enter
    from polyarch.sandbox.starting import StartError

    # The pull has ended its threads: the kernel lets only a process of one thread enter a user namespace.
    for warning in enter(session.environment.search_path).warnings:
        session.warn(warning)
    session.store.maintenance.reclaim()
    streams = running.Streams(0 if words["interactive"] or words["tty"] else None, 1, 2)
    sys.stdout.flush()

    forwarded = forwarding.SignalTarget(stop, float(words["stop_timeout"]))
    forwarding.forward_signals(time.monotonic, forwarded, terminal=process.terminal)
    manner = msgspec.structs.replace(manner, started=forwarded.follow)
    try:
        return running.run(
            session.store, source, chosen, process, session.environment.search_path, streams, session.warn_of, manner
        )
    except StartError as error:
        session.error(error)
        return error.status
