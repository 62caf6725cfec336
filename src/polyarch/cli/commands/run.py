"""`run`: a process in an image."""

import codecs
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polyarch import progress
from polyarch.cli import options
from polyarch.cli.session import Session, pass_session
from polyarch.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType
    from typing import Literal

    from polyarch.progress import Event
    from polyarch.sandbox import Mount

# As docker's client: not those that the kernel sends for a fault of our own, nor those that stop and continue us.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_FORWARDED = (
    *_ENDING,
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGPWR),
    *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
)
# A second Ctrl-C within these seconds ends the process.
_IMPATIENCE = 2.0


@click.command("run", context_settings={"allow_interspersed_args": False})
@click.argument("image", metavar="IMAGE", shell_complete=options.complete_image)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND] [ARG...]")
@options.platform(several=False, help="The platform (default: this machine's)")
@click.option(
    "-e",
    "--env",
    "env",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Set a variable; without a value, it is taken from the environment",
)
@click.option("--env-file", "env_files", multiple=True, metavar="FILE", help="Read variables from FILE")
@click.option("-w", "--workdir", default="", metavar="DIR", help="The directory to start in")
@click.option("-u", "--user", default="", metavar="USER[:GROUP]", help="The user (and group) to run as")
@click.option(
    "-v", "--volume", "volumes", multiple=True, metavar="SRC:DST[:ro]", help="Mount a directory of this machine"
)
@click.option("--rm", is_flag=True, help="Remove what the container wrote when it ends (always the case)")
@click.option("-i", "--interactive", is_flag=True, help="Connect standard input")
@click.option("-t", "--tty", is_flag=True, help="Allocate a terminal")
@click.option("--entrypoint", metavar="COMMAND", help="Run this in place of the image's entrypoint")
@click.option("--network", type=click.Choice(["host", "none"]), default="host", help="The network (default: host)")
@click.option(
    "--pull",
    type=click.Choice(["always", "missing", "never"]),
    default="missing",
    help="When to pull (default: missing)",
)
@click.option("-h", "--hostname", default="polyarch", metavar="NAME", help="The host name of the container")
@click.option("--read-only", is_flag=True, help="Mount the image read-only; volumes stay writable")
@click.option("-q", "--quiet", is_flag=True, help="Do not show the progress of a pull")
@options.insecure
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
    """Run a command in an image, for this machine's platform or another. Its exit status becomes ours.

    The container is removed when the command ends; no daemon keeps it.
    """
    import msgspec

    from polyarch.images import run as running
    from polyarch.sandbox import enter
    from polyarch.sandbox.starting import StartError

    if tty and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("--tty needs a terminal, but standard input and output are not one", "leave out -t")
    chosen = running.RunOptions(
        arguments=arguments,
        entrypoint=None if entrypoint is None else tuple(filter(None, [entrypoint])),
        env=(*_of_files(env_files, session.environment.variables), *_variables(env, session.environment.variables)),
        cwd=workdir,
        user=user,
        mounts=tuple(_mount(volume, Path.cwd()) for volume in volumes),
        network=network,
        hostname=hostname,
        terminal=tty,
        read_only=read_only,
    )
    registry = session.registry_for([image] if insecure else ())
    with session.display("quiet" if quiet else None, verb="Pulling") as emit:
        found, source = running.find(
            session.store, registry, image, session.platform(platform), session.host(), pull, emit
        )
    size = _terminal_size() if tty else (0, 0)
    process = running.process(found.config, msgspec.structs.replace(chosen, terminal_size=size), image)
    # Everything before this has ended its threads: the kernel lets only a process of one thread enter.
    for warning in enter(session.environment.search_path).warnings:
        session.warn(warning)
    session.store.reclaim()
    streams = running.Streams(0 if interactive or tty else None, 1, 2)
    sys.stdout.flush()

    def warn(event: "Event") -> None:
        if isinstance(event, progress.Warned):
            session.warn(event.message, event.detail)

    _forward_signals(time.monotonic, terminal=tty)
    try:
        return running.run(session.store, source, found, process, session.environment.search_path, streams, warn)
    except StartError as error:
        session.error(error)
        return error.status


def _terminal_size() -> tuple[int, int]:
    size = os.get_terminal_size(sys.stdout.fileno())
    return size.lines, size.columns


def _forward_signals(clock: "Callable[[], float]", *, terminal: bool) -> None:
    """Hand every signal on to the process, as docker does; with `terminal`, the size of ours as well.

    The first process of a pid namespace ignores a signal that it has no handler for. So a second SIGINT or SIGTERM
    within two seconds ends it, as does one that reaches nobody.
    """
    from polyarch.sandbox import signals

    last: dict[int, float] = {}

    def forward(number: int, frame: "FrameType | None") -> None:
        now = clock()
        reached = signals.send(number)
        again = now - last.get(number, -_IMPATIENCE) < _IMPATIENCE
        if number in _ENDING and (again or not reached):
            raise KeyboardInterrupt
        if number in (signal.SIGINT, signal.SIGTERM):
            last[number] = now

    def resize(number: int, frame: "FrameType | None") -> None:
        signals.resize(*_terminal_size())

    for number in _FORWARDED:
        signal.signal(number, forward)
    signal.signal(signal.SIGWINCH, resize if terminal else forward)


def _variables(words: tuple[str, ...], ours: "Mapping[str, str]") -> list[str]:
    """NAME=VALUE as it is; NAME alone has our value, and is left out where we have none, as docker has it."""
    pairs = [word if "=" in word else f"{word}={ours[word]}" for word in words if "=" in word or word in ours]
    for pair in pairs:
        if pair.startswith("="):
            raise UsageError(f"{pair!r} is not a variable", "a variable reads NAME=VALUE")
    return pairs


def _of_files(files: tuple[str, ...], ours: "Mapping[str, str]") -> list[str]:
    pairs: list[str] = []
    for file in files:
        try:
            content = Path(file).read_bytes()
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no file {file}", "--env-file takes lines of NAME=VALUE") from error
        for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
            pairs += _of_line(line.removesuffix(b"\r"), f"{file}:{number}", ours)
    return pairs


def _of_line(raw: bytes, where: str, ours: "Mapping[str, str]") -> list[str]:
    """The variable of a line of an --env-file, by docker's rules: blanks before the name go, all behind `=` stays."""
    try:
        line = raw.decode().lstrip()
    except UnicodeDecodeError as error:
        raise UsageError(f"{where}: the line is not UTF-8", "--env-file takes lines of NAME=VALUE") from error
    if not line or line.startswith("#"):
        return []
    name, equals, _ = line.partition("=")
    if not name:
        raise UsageError(f"{where}: {line!r} has no name before =", "--env-file takes lines of NAME=VALUE")
    if any(character.isspace() for character in name):
        hint = "the file is no shell script: leave out export" if name.startswith("export ") else "write NAME=VALUE"
        raise UsageError(f"{where}: the name {name!r} has a blank in it", hint)
    return _variables((line,), ours) if equals or name in ours else []


def _mount(word: str, here: Path) -> "Mount":
    from polyarch.sandbox import Bind

    source, _, rest = word.partition(":")
    target, _, mode = rest.partition(":")
    if not source or not target.startswith("/") or mode not in ("", "ro", "rw", "z", "Z"):
        raise UsageError(f"{word!r} is not a volume", "a volume reads SOURCE:/TARGET or SOURCE:/TARGET:ro")
    if not source.startswith(("/", ".", "~")):
        raise UsageError(
            f"{source!r} would be a named volume, which is not supported", f"to mount a directory write ./{source}"
        )
    path = os.path.realpath(here / os.path.expanduser(source))
    if not os.path.exists(path):
        raise NotFoundError(f"cannot mount {path}: it does not exist", "make it first")
    return Bind(path, target, mode == "ro")
