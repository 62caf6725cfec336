"""Sandbox: owns the mounts and processes of one command."""

import binascii
import contextlib
import itertools
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

import msgspec

from polyarch.errors import MachineError, PolyarchError, UnsupportedError
from polyarch.oci.platform import Platform
from polyarch.oci.text import shown
from polyarch.sandbox import (
    bpf,
    cwd,
    emulation,
    files,
    mountpoints,
    mounts,
    namespaces,
    probe,
    processors,
    runtime,
    seccomp,
    spec,
    starting,
    syscalls,
)
from polyarch.sandbox.account import Account, resolve_user, with_groups
from polyarch.sandbox.emulators import VARIABLES, EmulatorCopies
from polyarch.sandbox.host import host_platform
from polyarch.sandbox.mounts import Bind, File, Tmpfs
from polyarch.sandbox.output import Sink
from polyarch.sandbox.overlay import Overlay
from polyarch.sandbox.process import Process
from polyarch.sandbox.processes import Processes
from polyarch.sandbox.rootfs import Rootfs
from polyarch.sandbox.running import RunningProcess
from polyarch.sandbox.starting import EmulatorVariableError, StartError
from polyarch.sandbox.watch import Watch

if TYPE_CHECKING:
    from polyarch.sandbox.limits import Cgroup
    from polyarch.sandbox.network import PrivateNetwork


# Compiling takes 13 ms of a processor. All sandboxes of a process share the results, because a member of a farm makes
# one for each chain of steps.
_compiling = threading.Lock()
_compiled: dict[tuple[bool, int], dict[str, str]] = {}


def _annotations(skip_syncs: bool, answer: int) -> dict[str, str]:
    with _compiling:
        if (skip_syncs, answer) not in _compiled:
            profile = seccomp.profile(host_platform().architecture, skip_syncs=skip_syncs, answer=answer)
            program = bpf.compiled(profile) if profile else None
            _compiled[skip_syncs, answer] = (
                {bpf.ANNOTATION: binascii.b2a_base64(program, newline=False).decode()} if program else {}
            )
        return _compiled[skip_syncs, answer]


class Sandbox:
    """Runs processes in root filesystems. The caller has entered the namespace (`namespaces.enter`).

    Owns a tmpfs at `directory`/run, the mounts in it and the running processes. `close` (or leaving `with`) kills and
    unmounts them; if this process is killed, the kernel does. All methods may be called from any thread, and `run` from
    several at once.
    """

    def __init__(
        self, directory: Path, search_path: str, emulators: str, named: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """`directory` exists and belongs to this sandbox alone; `emulators` is where copies of emulators are kept.

        `named` are emulators by the architecture (GOARCH) of their programs, which come before those on `search_path`.
        Raises UnsupportedError if there is no OCI runtime on `search_path` or the mounts cannot be made.
        """
        if not namespaces.entered():
            raise RuntimeError("namespaces.enter() comes before a Sandbox")
        self._runtime = runtime.find(search_path)
        self._search_path = search_path
        emulation.name(named)
        self._processes = Processes(search_path)
        self._copies = EmulatorCopies(emulators)
        self._directory = str(directory)
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._mounted: dict[str, Rootfs] = {}
        self._closed = False
        self._ids = spec.own_ids()
        self._place = os.path.join(self._directory, "run")
        os.makedirs(self._place, exist_ok=True)
        self._undo = contextlib.ExitStack()
        try:
            self._mount()
        except OSError as error:
            raise MachineError(
                f"cannot set up the sandbox: {error.strerror}: {error.filename}",
                "this needs Linux 5.12 or later, with /proc and /sys mounted",
            ) from error

    def _mount(self) -> None:
        with contextlib.ExitStack() as undo:
            Tmpfs(self._place, mode=0o755).perform()
            undo.callback(syscalls.umount, self._place, syscalls.MNT_DETACH)
            self._runtime = self._runtime.protected(os.path.join(self._place, self._runtime.kind))
            self._state = self._make_directory("state")
            self._empty = self._make_directory("empty")
            self._host_sys = self._make_directory("sys")
            files.mount_sys(self._host_sys)
            if files.keep_off_cgroups(hidden=self._runtime.kind == "crun"):
                undo.callback(syscalls.umount, files.CGROUPS, syscalls.MNT_DETACH)
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def expect(self, platforms: Iterable[tuple[Platform, str | None]]) -> None:
        """Prepare what the first RUN of each platform needs, in a thread, while the caller prepares something else.

        Each platform comes with the processor that the options name, see `emulation.prepare`. Called once.
        """

        def prepare() -> None:
            # Each step does the same, waits for this where that saves work, and raises the errors.
            with contextlib.suppress(PolyarchError, OSError):
                emulation.register_all(self._search_path)
                for platform, model in platforms:
                    self._annotations(True, emulation.answer(platform, model))
                for platform, model in platforms:
                    emulation.prepare(platform, self._search_path, self._copies, model)

        thread = threading.Thread(target=prepare, name="polyarch-prepare")
        thread.start()
        self._undo.callback(thread.join)

    def _make_directory(self, name: str) -> str:
        path = os.path.join(self._place, name)
        os.mkdir(path, 0o755)
        return path

    @contextmanager
    def rootfs(
        self, lowers: Sequence[str], upper: str | None = None, work: str | None = None, *, volatile: bool = False
    ) -> Iterator[str]:
        """Mount the union of `lowers` (directories in overlay's disk form, lowest first), and yield its path.

        Changes go to `upper`; `work` is an empty directory next to it on the same file system. Without them, changes
        are discarded. An empty `upper` takes over mode, owner and mtime of the topmost lower's root. `volatile`: see
        `Overlay`.
        """
        number = next(self._numbers)
        target = self._make_directory(f"root-{number}")
        with contextlib.ExitStack() as undo:
            undo.callback(os.rmdir, target)
            if upper is None or work is None:
                discarded = os.path.join(self._directory, f"discarded-{number}")
                undo.callback(files.remove, discarded)
                upper, work = os.path.join(discarded, "upper"), os.path.join(discarded, "work")
                os.makedirs(upper)
                os.mkdir(work)
            mounted = Rootfs(Overlay(tuple(lowers) or (self._empty,), upper, work, target, volatile))
            undo.callback(mounted.close)
            self._mounted[target] = mounted
            undo.callback(self._mounted.pop, target)
            yield target

    def run(
        self,
        process: Process,
        rootfs: str,
        *,
        platform: Platform | None = None,
        stdin: int | None = None,
        stdout: Sink = None,
        stderr: Sink = None,
    ) -> int:
        """Run `process` in `rootfs` and return its exit status (128 + n if signal n ended it).

        On any exception, including KeyboardInterrupt, the process is killed. Else as `start` and `RunningProcess.wait`.
        """
        with self.start(process, rootfs, platform=platform, stdin=stdin, stdout=stdout, stderr=stderr) as running:
            status = running.wait()
        assert status is not None
        return status

    @contextmanager
    def start(
        self,
        process: Process,
        rootfs: str,
        *,
        platform: Platform | None = None,
        stdin: int | None = None,
        stdout: Sink = None,
        stderr: Sink = None,
        measured: bool = False,
        cgroup: "Cgroup | None" = None,
    ) -> Iterator[RunningProcess]:
        """Start `process` in `rootfs` and yield it. It is killed when the block ends.

        `platform` is the platform of its binaries, None for the host's. `stdin` is a file descriptor, or None for
        /dev/null. `stdout` and `stderr` are each a file descriptor, a function that receives the output in a thread of
        its own, or None for /dev/null. `measured` is for `RunningProcess.peak_memory`. The process begins in `cgroup`.
        Raises CancelledError after `cancel`, NotFoundError for an unknown user, and UnsupportedError if the platform
        does not run here. `RunningProcess.wait` raises StartError if the process could not be started.
        """
        found = self._prepare(process, platform)
        emulated = found.how == "emulated"
        account = with_groups(rootfs, resolve_user(rootfs, process.user), process.rights.groups)
        self._check(account)
        name = f"polyarch-{next(self._numbers)}"
        bundle = self._make_directory(name)

        def ended(status: int) -> None:
            if status != 0:
                starting.raise_if_not_started(bundle, process)
            if status == 1:
                starting.raise_if_foreign(rootfs, process)

        try:
            own = (*files.network_files(process), *files.processor_files(found.platform if emulated else None))
            given = self._materialize(mounts.plan((*own, *process.mounts)), bundle)
            mount_points = self._mounted[rootfs].mount_points
            watch = Watch(emulated=emulated, measured=measured) if emulated or measured else None
            try:
                places = mount_points.make(mountpoints.needed(given))
                _refuse_links(places)
                if not any(f"{process.cwd}/".startswith(f"{mount.target.rstrip('/')}/") for mount in given):
                    cwd.make(rootfs, process.cwd, account)
                resolved = [mount_points.placed(mount, places) for mount in given]
                self._write_config(process, rootfs, account, resolved, bundle, found)
                with self._console(bundle, process, stdin, stdout) as console:
                    command = self._runtime.command(self._state, bundle, name, console, linux32=is_32_bit_here(found))
                    with contextlib.ExitStack() as opened:
                        with cgroup.starting() if cgroup else contextlib.nullcontext():
                            running = opened.enter_context(
                                self._processes.start(
                                    command, stdin, stdout, stderr, terminal=process.terminal, watch=watch, ended=ended
                                )
                            )
                        yield running
            finally:
                mount_points.remove()
        finally:
            files.remove(bundle)
            files.remove(os.path.join(self._state, name))

    @contextmanager
    def network(self) -> "Iterator[PrivateNetwork]":
        """Make a private network and yield it. Its `path` is for `Process.network`."""
        from polyarch.sandbox.network import PrivateNetwork

        with PrivateNetwork(os.path.join(self._place, f"network-{next(self._numbers)}")) as network:
            yield network

    @contextlib.contextmanager
    def _console(self, bundle: str, process: Process, stdin: int | None, stdout: Sink) -> Iterator[str]:
        """Yield the path of a socket for the process's terminal, or an empty string.

        It is empty if the process has no terminal, or if the runtime copies its output itself.
        """
        # runc copies all output itself, and accepts a console socket only for a detached container.
        if not process.terminal or self._runtime.kind != "crun" or stdin is None or not isinstance(stdout, int):
            yield ""
            return
        from polyarch.sandbox.console import Console

        path = os.path.join(bundle, "console")
        with Console(path, stdin, stdout):
            yield path

    def _prepare(self, process: Process, platform: Platform | None) -> emulation.Support:
        """Make this and other platforms run, by emulators that do not take the process's variables for options.

        The emulator of `platform` is copied for that; those of others only if something mentions such a variable.
        """
        emulation.register_all(self._search_path)
        if process.mentions("QEMU_"):
            emulation.isolate(self._copies)
        if platform is None:
            return emulation.Support(host_platform(), "native")
        model = processors.chosen(platform, process.settings.emulated_cpus)
        found = emulation.prepare(platform, self._search_path, self._copies, model)
        if found.how == "native":
            return found
        reason = emulation.why_not_isolated(platform.architecture)
        taken = next((name for pair in process.environment if (name := pair.partition("=")[0]) in VARIABLES), None)
        if reason and taken:
            raise EmulatorVariableError(taken, platform, reason)
        return found

    def _check(self, account: Account) -> None:
        if account.uid > self._ids.highest_uid or account.gid > self._ids.highest_gid:
            raise PolyarchError(
                f"cannot run as {account.uid}:{account.gid}: this user namespace has no such id",
                "add ranges of ids to /etc/subuid and /etc/subgid, and install the package uidmap",
            )

    def _materialize(self, planned: Sequence[mounts.Mount], bundle: str) -> list[Bind | Tmpfs]:
        """Return the same mounts, with each File written into the bundle, which is in memory."""
        written: list[Bind | Tmpfs] = []
        for number, mount in enumerate(planned):
            if isinstance(mount, File):
                source = os.path.join(bundle, f"file-{number}")
                files.write(source, mount)
                written.append(Bind(source, mount.target, mount.read_only))
            else:
                written.append(mount)
        return written

    def _write_config(
        self,
        process: Process,
        rootfs: str,
        account: Account,
        given: Sequence[Bind | Tmpfs],
        bundle: str,
        found: emulation.Support,
    ) -> None:
        model = processors.chosen(found.platform, process.settings.emulated_cpus)
        unfiltered = process.insecure or process.rights.unfiltered
        answer = 0 if unfiltered and found.how == "native" else emulation.answer(found.platform, model)
        config = spec.config(
            process,
            rootfs,
            account,
            given,
            architecture=host_platform().architecture,
            ids=self._ids,
            host_sys=self._host_sys,
            annotations=self._annotations(process.skip_syncs, answer),
            linux32=is_32_bit_here(found),
            answer=answer,
        )
        try:
            raw = msgspec.json.encode(config)
        except UnicodeEncodeError as error:
            raise UnsupportedError(
                f"{shown(str(error.object))!r} is not UTF-8, as the configuration of an OCI runtime must be",
                "rename the path (--root moves the store) or change the value",
            ) from error
        with open(os.path.join(bundle, "config.json"), "wb") as file:
            file.write(raw)

    def _annotations(self, skip_syncs: bool, answer: int) -> dict[str, str]:
        """Return the annotation that saves crun compiling the seccomp profile each time."""
        return _annotations(skip_syncs, answer) if self._runtime.kind == "crun" else {}

    def cancel(self) -> None:
        """Kill everything that runs. Each current and later `run` then raises CancelledError."""
        self._processes.cancel()

    def close(self) -> None:
        """Kill everything that runs, and undo the mounts. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self.cancel()
        self._undo.close()
        with contextlib.suppress(OSError):
            os.rmdir(self._place)


def is_32_bit_here(found: emulation.Support) -> bool:
    """Return whether a 64-bit kernel runs programs of this 32-bit platform natively."""
    machine, host = (probe.MACHINES.get(each.architecture) for each in (found.platform, host_platform()))
    if machine is None or host is None:
        return False
    return found.how == "native" and (machine.bits, host.bits) == (32, 64)


def _refuse_links(places: dict[str, str]) -> None:
    """Raise StartError if /proc, /sys or /dev of an image is a symbolic link.

    runc refuses the first two; crun 1.8 follows a link at /dev, even out of the root filesystem.
    """
    for point in mountpoints.SYSTEM:
        if places[point.path] != point.path:
            raise StartError(f"the image's {point.path} is a symbolic link", "a container needs a directory there")
