"""`run`: run a process in the root filesystem of an image. What it writes is removed when it ends."""

from typing import TYPE_CHECKING, Literal

import msgspec

from polyarch import progress
from polyarch.contents.layer import layers_of
from polyarch.contents.unpack import Unpacker
from polyarch.errors import NotFoundError, UsageError
from polyarch.images import names
from polyarch.oci import digest as digests
from polyarch.oci import reference as references
from polyarch.oci.config import DEFAULT_PATH, ImageConfig
from polyarch.oci.place import Source
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference
from polyarch.transfer import choose
from polyarch.transfer.choose import ChosenImage

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.sandbox import Mount, Process
    from polyarch.store import Store

PullPolicy = Literal["always", "missing", "never"]


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Changes to the image's config. `arguments` replace its CMD; `entrypoint`, which may be empty, replaces both.

    `terminal_size` is rows and columns.
    """

    arguments: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    cwd: str = ""
    user: str = ""
    mounts: "tuple[Mount, ...]" = ()
    network: Literal["host", "none"] = "host"
    hostname: str = "polyarch"
    terminal: bool = False
    terminal_size: tuple[int, int] = (0, 0)
    read_only: bool = False


class Streams(msgspec.Struct, frozen=True):
    """The file descriptors of the process; for stdin, None means /dev/null."""

    stdin: int | None
    stdout: int
    stderr: int


def find(
    store: "Store",
    registry: "Registry",
    name: str | Reference,
    platform: Platform | None,
    host: Platform,
    policy: PullPolicy = "missing",
    emit: progress.Emit = progress.ignore,
) -> tuple[ChosenImage, Source]:
    """The image `name` for `platform`, or else for `host`, and the place to read it from.

    A name that is not in the store is pulled, unless the policy is "never". With "always" it is always pulled.
    Raises NotFoundError that lists the platforms of the image, RegistryError.
    """
    from polyarch.images.pull import pull
    from polyarch.transfer.read_through import ReadThroughSource

    source: Source = store if policy == "never" else ReadThroughSource(store, registry)
    wanted = (platform or host,)
    called = names.parse(name) if isinstance(name, str) else name
    if policy == "always":
        pull(store, registry, _reference(called), wanted, emit)
    try:
        image = names.find(store, called)
    except NotFoundError:
        text = called if isinstance(called, str) else called.familiar()
        if policy == "never" or isinstance(called, str) or digests.is_digest(text):
            raise
        with names.suggesting(store, text):
            pull(store, registry, called.tagged(), wanted, emit)
        image = names.find(store, called)
    return choose.choose(source, image.familiar, image.descriptor, platform, host), source


def _reference(called: Reference | str) -> Reference:
    """The reference to pull. Raises UsageError for an id."""
    return (references.parse(called) if isinstance(called, str) else called).tagged()


def command_line(config: ImageConfig, options: RunOptions, shown: str) -> tuple[str, ...]:
    """The command line: ENTRYPOINT and CMD, changed by the options. Raises UsageError if both are empty."""
    if options.entrypoint is not None:
        # As in docker: a new entrypoint does not get the CMD, which belongs to the old one.
        argv = (*options.entrypoint, *options.arguments)
    else:
        argv = (*(config.run.get("Entrypoint") or ()), *(options.arguments or config.run.get("Cmd") or ()))
    if not argv:
        raise UsageError(
            f"{shown} has neither an entrypoint nor a command", f"name a command: polyarch run {shown} COMMAND"
        )
    return argv


def process(config: ImageConfig, options: RunOptions, shown: str) -> "Process":
    """The process that an image's config and the options describe. Raises UsageError if there is no command."""
    from polyarch.sandbox import Process, RunSettings

    overridden = {pair.partition("=")[0] for pair in options.env}
    env = [f"{name}={value}" for name, value in config.env.items() if name not in overridden]
    if "PATH" not in config.env and "PATH" not in overridden:
        env.insert(0, f"PATH={DEFAULT_PATH}")
    if options.terminal and "TERM" not in config.env and "TERM" not in overridden:
        env.append("TERM=xterm")
    return Process(
        argv=command_line(config, options, shown),
        env=(*env, *options.env),
        cwd=options.cwd or config.run.get("WorkingDir") or "/",
        user=options.user or config.run.get("User") or "",
        mounts=options.mounts,
        settings=RunSettings(network=options.network),
        hostname=options.hostname,
        terminal=options.terminal,
        terminal_size=options.terminal_size,
        read_only=options.read_only,
    )


def run(
    store: "Store",
    source: Source,
    image: ChosenImage,
    process: "Process",
    search_path: str,
    streams: Streams,
    emit: progress.Emit = progress.ignore,
) -> int:
    """Run `process` in the image. Returns its exit status, 128 + n if signal n ended it.

    The calling process must have entered the sandbox's namespace. Unpacks the image if necessary, and removes what
    the process writes. Raises UnsupportedError if the platform does not run here, CorruptError for a damaged layer,
    sandbox.StartError if the process could not be started.
    """
    from polyarch.sandbox import Sandbox

    lowers = Unpacker(store, source, emit).lowers(layers_of(image.manifest, image.config))
    with (
        store.temporary() as directory,
        Sandbox(directory, search_path, store.layout.emulators) as sandbox,
        sandbox.rootfs(lowers) as rootfs,
    ):
        return sandbox.run(
            process,
            rootfs,
            platform=image.platform,
            stdin=streams.stdin,
            stdout=streams.stdout,
            stderr=streams.stderr,
        )
