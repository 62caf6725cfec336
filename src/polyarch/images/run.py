"""`run`: run a process in the root filesystem of an image. What it writes is removed when it ends."""

import contextlib
from typing import TYPE_CHECKING, Literal

import msgspec

from polyarch import progress
from polyarch.contents.layer import layers_of
from polyarch.contents.unpack import Unpacker
from polyarch.errors import NotFoundError, UnsupportedError, UsageError
from polyarch.images import names
from polyarch.images.run_volumes import VolumeUse, bound
from polyarch.oci import digest as digests
from polyarch.oci import reference as references
from polyarch.oci.config import DEFAULT_PATH, ImageConfig
from polyarch.oci.place import Source
from polyarch.oci.platform import Platform
from polyarch.oci.reference import Reference
from polyarch.transfer import choose
from polyarch.transfer.choose import ChosenImage

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyarch.registry import Registry
    from polyarch.sandbox import Mount, Process, RunningProcess, RunSettings, Sandbox
    from polyarch.sandbox.limits import Cgroup, Limits
    from polyarch.sandbox.ports import Listener
    from polyarch.sandbox.rights import Rights
    from polyarch.store import Store

PullPolicy = Literal["always", "missing", "never"]


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Changes to the image's config. `arguments` replace its CMD; `entrypoint`, which may be empty, replaces both.

    `terminal_size` is rows and columns. `stop_signal` is a name or a number; empty for the image's, else SIGTERM.
    """

    arguments: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    cwd: str = ""
    user: str = ""
    mounts: "tuple[Mount, ...]" = ()
    settings: "RunSettings | None" = None
    rights: "Rights | None" = None
    hostname: str = "polyarch"
    terminal: bool = False
    terminal_size: tuple[int, int] = (0, 0)
    read_only: bool = False
    stop_signal: str = ""


class RunNetwork(msgspec.Struct, frozen=True):
    """A private network. `ports` are bound sockets of this machine, which the run closes, with ports of the container.

    With `host`, the container may connect to this machine's 127.0.0.1 (`--add-host NAME:host-gateway`). `resolver` is
    the container's /etc/resolv.conf, or None for one that this machine's resolver answers.
    """

    ports: "tuple[tuple[Listener, int], ...]" = ()
    host: bool = False
    resolver: bytes | None = None


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How a process is run, besides what it is. `network` is None for that of the process's settings.

    `now` is the time of new volumes (Unix time). `started` gets the running process, to pass signals on. `emulators`
    are pairs of an architecture (GOARCH) and a path; the last counts.
    """

    network: RunNetwork | None = None
    volumes: tuple[VolumeUse, ...] = ()
    now: float = 0.0
    init: bool = False
    limits: "Limits | None" = None
    started: "Callable[[RunningProcess], None] | None" = None
    emulators: tuple[tuple[str, str], ...] = ()


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
    from polyarch.sandbox.rights import Rights

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
        settings=options.settings or RunSettings(),
        rights=options.rights or Rights(),
        hostname=options.hostname,
        terminal=options.terminal,
        terminal_size=options.terminal_size,
        read_only=options.read_only,
    )


def stop_signal(config: ImageConfig, options: RunOptions) -> int:
    """The signal that asks the process to end. Raises UsageError for one that does not exist."""
    from polyarch.sandbox import signals

    return signals.number(options.stop_signal or config.run.get("StopSignal") or "SIGTERM")


def run(
    store: "Store",
    source: Source,
    image: ChosenImage,
    process: "Process",
    search_path: str,
    streams: Streams,
    emit: progress.Emit = progress.ignore,
    manner: Manner | None = None,
) -> int:
    """Run `process` in the image. Returns its exit status, 128 + n if signal n ended it.

    The calling process must have entered the sandbox's namespace. Unpacks the image if necessary, and removes what
    the process writes. Raises UnsupportedError if the platform does not run here, CorruptError for a damaged layer,
    sandbox.StartError if the process could not be started.
    """
    from polyarch.sandbox import Sandbox

    manner = manner or Manner()
    lowers = Unpacker(store, source, emit).lowers(layers_of(image.manifest, image.config))
    with contextlib.ExitStack() as held:
        # A sandbox hides the machine's cgroups.
        cgroup = _limited(held, manner.limits, emit)
        directory = held.enter_context(store.temporary())
        sandbox = held.enter_context(Sandbox(directory, search_path, store.layout.emulators, dict(manner.emulators)))
        rootfs = held.enter_context(sandbox.rootfs(lowers))
        binds = held.enter_context(bound(store, str(directory), rootfs, manner.volumes, manner.now, emit))
        # Of mounts with the same target the last counts. An image's own VOLUME is the first of all.
        process = msgspec.structs.replace(process, mounts=(*binds, *process.mounts))
        if manner.network is not None:
            process = _connected(held, sandbox, process, manner.network, search_path, emit)
        if manner.init:
            process = _under_init(process, search_path, emit)
        running = held.enter_context(
            sandbox.start(
                process,
                rootfs,
                platform=image.platform,
                stdin=streams.stdin,
                stdout=streams.stdout,
                stderr=streams.stderr,
                cgroup=cgroup,
            )
        )
        if manner.started is not None:
            manner.started(running)
        status = running.wait()
        assert status is not None
        return status


def _limited(held: contextlib.ExitStack, limits: "Limits | None", emit: progress.Emit) -> "Cgroup | None":
    """The cgroup of the limits, which exists as long as `held`; None where this process cannot make one."""
    if limits is None or not limits.controllers:
        return None
    from polyarch.sandbox.limits import Cgroup

    try:
        cgroup = Cgroup(limits)
    except UnsupportedError as error:
        emit(progress.Warned(f"limits have no effect: {error.message}", "root, or a delegated cgroup v2, can set them"))
        return None
    held.callback(cgroup.close)
    return cgroup


def _connected(
    held: contextlib.ExitStack,
    sandbox: "Sandbox",
    process: "Process",
    wanted: RunNetwork,
    search_path: str,
    emit: progress.Emit,
) -> "Process":
    """The process with a private network, which exists as long as `held`. Outgoing connections are made if possible."""
    from polyarch.sandbox import File, outgoing

    network = held.enter_context(sandbox.network())
    for listener, port in wanted.ports:
        network.forward(listener, port)
    reason, hint = outgoing.missing(search_path)
    if not reason:
        reason = held.enter_context(outgoing.connected(network.path, search_path, host=wanted.host))
    resolver = wanted.resolver
    if reason:
        emit(progress.Warned(f"the container cannot make connections to the outside: {reason}", hint or outgoing.HINT))
    elif resolver is None:
        resolver = f"nameserver {outgoing.RESOLVER}\n".encode()
    mounts = process.mounts if resolver is None else (File("/etc/resolv.conf", resolver), *process.mounts)
    return msgspec.structs.replace(process, network=network.path, mounts=mounts)


def _under_init(process: "Process", search_path: str, emit: progress.Emit) -> "Process":
    from polyarch.sandbox import init

    if program := init.find(search_path):
        return init.under(process, program)
    emit(progress.Warned("--init has no effect: there is no static init program", "install the package catatonit"))
    return process
