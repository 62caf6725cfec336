"""`run`: one process in the root filesystem of a stored image. What it writes is gone when it ends."""

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
from polyarch.transfer import choose
from polyarch.transfer.choose import ChosenImage

if TYPE_CHECKING:
    from polyarch.registry import Registry
    from polyarch.sandbox import Mount, Process
    from polyarch.store import Store

PullPolicy = Literal["always", "missing", "never"]


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What differs from the image's config. `arguments` replace its CMD; `entrypoint`, which may be empty, both.

    `terminal_size` are rows and columns.
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
    """The file descriptors that the process gets; None for stdin is /dev/null."""

    stdin: int | None
    stdout: int
    stderr: int


def find(
    store: "Store",
    registry: "Registry",
    text: str,
    platform: Platform | None,
    host: Platform,
    policy: PullPolicy = "missing",
    emit: progress.Emit = progress.ignore,
) -> tuple[ChosenImage, Source]:
    """The image that `text` calls for `platform`, else for `host`, and the place to read it from.

    A name that the store does not have is pulled, unless the policy is "never"; with "always" it is pulled anew.
    Raises NotFoundError that lists the platforms there are, RegistryError.
    """
    from polyarch.images.pull import pull
    from polyarch.transfer.read_through import ReadThroughSource

    source: Source = store if policy == "never" else ReadThroughSource(store, registry)
    wanted = (platform or host,)
    if policy == "always":
        pull(store, registry, references.parse(text).tagged(), wanted, emit)
    try:
        found = names.find(store, text)
    except NotFoundError:
        if policy == "never" or digests.is_digest(text):
            raise
        with names.suggesting(store, text):
            pull(store, registry, references.parse(text).tagged(), wanted, emit)
        found = names.find(store, text)
    return choose.choose(source, names.familiar(found.name), found.descriptor, platform, host), source


def command_line(config: ImageConfig, options: RunOptions, shown: str) -> tuple[str, ...]:
    """The words that are run: ENTRYPOINT and CMD, as the options change them. Raises UsageError if there are none."""
    if options.entrypoint is not None:
        # As docker has it: a new entrypoint is not given the arguments that were meant for the old one.
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

    given = {pair.partition("=")[0] for pair in options.env}
    env = [f"{name}={value}" for name, value in config.env.items() if name not in given]
    if "PATH" not in config.env and "PATH" not in given:
        env.insert(0, f"PATH={DEFAULT_PATH}")
    if options.terminal and "TERM" not in config.env and "TERM" not in given:
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
    what: "Process",
    search_path: str,
    streams: Streams,
    emit: progress.Emit = progress.ignore,
) -> int:
    """The exit status of `what` in the image, 128 + n where signal n ended it.

    This process has entered the sandbox's namespace. The image is unpacked where it is not yet, and what the process
    writes is removed. Raises UnsupportedError where the platform does not run here, CorruptError for a layer that is
    not what it claims, sandbox.StartError where the process could not be started.
    """
    from polyarch.sandbox import Sandbox

    lowers = Unpacker(store, source, emit).lowers(layers_of(image.manifest, image.config))
    with (
        store.temporary() as directory,
        Sandbox(directory, search_path, store.layout.emulators) as sandbox,
        sandbox.rootfs(lowers) as rootfs,
    ):
        return sandbox.run(
            what,
            rootfs,
            platform=image.platform,
            stdin=streams.stdin,
            stdout=streams.stdout,
            stderr=streams.stderr,
        )
