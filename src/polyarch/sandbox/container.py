"""Sandbox: owns the mounts and processes of one command."""

import binascii
import contextlib
import itertools
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import msgspec

from polyarch.errors import PolyarchError, UnsupportedError
from polyarch.oci.platform import Platform
from polyarch.oci.text import shown
from polyarch.sandbox import bpf, cwd, emulation, files, mounts, namespaces, runtime, seccomp, spec, starting, syscalls
from polyarch.sandbox.account import Account, resolve_user
from polyarch.sandbox.emulators import VARIABLES, EmulatorCopies
from polyarch.sandbox.host import host_platform
from polyarch.sandbox.mountpoints import Point, Stubs
from polyarch.sandbox.mounts import Bind, File, Tmpfs
from polyarch.sandbox.output import Sink
from polyarch.sandbox.overlay import Overlay
from polyarch.sandbox.process import Process
from polyarch.sandbox.processes import Processes
from polyarch.sandbox.rootfs import Rootfs
from polyarch.sandbox.starting import EmulatorVariableError, StartError

_SYSTEM_POINTS = (Point("/proc", True), Point("/sys", True), Point("/dev", True))


class Sandbox:
    """Runs processes in root filesystems; the caller has entered the namespace.

    Owns a tmpfs at `directory`/run, the mounts in it and the processes that run. `close` (or leaving `with`) kills
    and unmounts; where this process itself is killed, the kernel does both. All methods may be called from any
    thread; `run` in several at once.
    """

    def __init__(self, directory: Path, search_path: str, emulators: str) -> None:
        """`directory` exists and is this sandbox's alone; `emulators` is where copies of emulators are kept.

        Raises UnsupportedError where no OCI runtime is on `search_path` or the mounts cannot be made.
        """
        if not namespaces.entered():
            raise RuntimeError("namespaces.enter() comes before a Sandbox")
        self._runtime = runtime.find(search_path)
        self._search_path = search_path
        self._processes = Processes(search_path)
        self._copies = EmulatorCopies(emulators)
        self._directory = str(directory)
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._mounted: dict[str, Rootfs] = {}
        self._compiled: dict[str, str] | None = None
        self._closed = False
        self._ids = spec.own_ids()
        self._place = os.path.join(self._directory, "run")
        os.makedirs(self._place, exist_ok=True)
        self._undo = contextlib.ExitStack()
        try:
            self._mount()
        except OSError as error:
            raise UnsupportedError(
                f"cannot set up the sandbox: {error.strerror}: {error.filename}",
                "this needs Linux 5.12 or later, with /proc and /sys mounted",
            ) from error

    def _mount(self) -> None:
        with contextlib.ExitStack() as undo:
            Tmpfs(self._place, mode=0o755).perform()
            undo.callback(syscalls.umount, self._place, syscalls.MNT_DETACH)
            self._state = self._made("state")
            self._empty = self._made("empty")
            self._host_sys = self._made("sys")
            files.mount_sys(self._host_sys)
            if files.keep_off_cgroups(hidden=self._runtime.kind == "crun"):
                undo.callback(syscalls.umount, files.CGROUPS, syscalls.MNT_DETACH)
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _made(self, name: str) -> str:
        path = os.path.join(self._place, name)
        os.mkdir(path, 0o755)
        return path

    @contextmanager
    def rootfs(self, lowers: Sequence[str], upper: str | None = None, work: str | None = None) -> Iterator[str]:
        """The path of the union of `lowers` (directories in overlay's disk form, lowest first), mounted meanwhile.

        Changes go to `upper`, with `work` an empty directory beside it on the same file system; without them they
        are thrown away. An empty `upper` takes over mode, owner and mtime of the topmost lower's root.
        """
        number = next(self._numbers)
        target = self._made(f"root-{number}")
        with contextlib.ExitStack() as undo:
            undo.callback(os.rmdir, target)
            if upper is None or work is None:
                discarded = os.path.join(self._directory, f"discarded-{number}")
                undo.callback(files.remove, discarded)
                upper, work = os.path.join(discarded, "upper"), os.path.join(discarded, "work")
                os.makedirs(upper)
                os.mkdir(work)
            mounted = Rootfs(Overlay(tuple(lowers) or (self._empty,), upper, work, target))
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
        """The exit status of `process` in `rootfs` (128 + n where signal n ended it).

        `platform` is what its binaries are made for, None for the host's. stdin is a file descriptor, None for
        /dev/null; stdout and stderr each a file descriptor, a function that is called with what comes, from a
        thread of its own, or None for /dev/null. On any exception, KeyboardInterrupt too, the process is killed.
        Raises CancelledError after `cancel`, StartError where it could not be started, NotFoundError for an unknown
        user, UnsupportedError where the platform does not run here.
        """
        self._emulate(process, platform)
        account = resolve_user(rootfs, process.user)
        self._check(account)
        name = f"polyarch-{next(self._numbers)}"
        bundle = self._made(name)
        try:
            given = self._materialize(mounts.plan((*files.network_files(process), *process.mounts)), bundle)
            stubs = self._mounted[rootfs].stubs
            try:
                places = stubs.make(_points(given))
                _refuse_links(places)
                if not any(f"{process.cwd}/".startswith(f"{each.target.rstrip('/')}/") for each in given):
                    cwd.make(rootfs, process.cwd, account)
                resolved = [_like_hidden(_moved(each, places), rootfs, stubs) for each in given]
                self._write_config(process, rootfs, account, resolved, bundle)
                with self._console(bundle, process, stdin, stdout) as console:
                    command = self._runtime.command(self._state, bundle, name, console)
                    status = self._processes.run(command, stdin, stdout, stderr, terminal=process.terminal)
            finally:
                stubs.remove()
            if status != 0:
                starting.raise_if_not_started(bundle, process)
            if status == 1:
                starting.raise_if_foreign(rootfs, process)
            return status
        finally:
            files.remove(bundle)
            files.remove(os.path.join(self._state, name))

    @contextlib.contextmanager
    def _console(self, bundle: str, process: Process, stdin: int | None, stdout: Sink) -> Iterator[str]:
        """The path of a socket for the process's terminal; empty where it has none, or the runtime does the copying."""
        # runc copies the whole output, and takes a console socket only for a container in the background.
        if not process.terminal or self._runtime.kind != "crun" or stdin is None or not isinstance(stdout, int):
            yield ""
            return
        from polyarch.sandbox.console import Console

        path = os.path.join(bundle, "console")
        with Console(path, stdin, stdout):
            yield path

    def _emulate(self, process: Process, platform: Platform | None) -> None:
        """Makes this and other platforms run, by emulators that do not take the process's variables for options.

        A copy is made of the emulator that the platform needs, and of the others where something names a variable.
        """
        emulation.register_all(self._search_path)
        if process.mentions("QEMU_"):
            emulation.isolate(self._copies)
        if platform is None or emulation.prepare(platform, self._search_path, self._copies).how == "native":
            return
        reason = emulation.why_not_isolated(platform.architecture)
        taken = next((name for pair in process.environment if (name := pair.partition("=")[0]) in VARIABLES), None)
        if reason and taken:
            raise EmulatorVariableError(taken, platform, reason)

    def _check(self, account: Account) -> None:
        if account.uid > self._ids.highest_uid or account.gid > self._ids.highest_gid:
            raise PolyarchError(
                f"cannot run as {account.uid}:{account.gid}: this user namespace has no such id",
                "more ids need ranges in /etc/subuid and /etc/subgid, and the package uidmap",
            )

    def _materialize(self, planned: Sequence[mounts.Mount], bundle: str) -> list[Bind | Tmpfs]:
        """The same mounts, with each File written into the bundle, which is in memory."""
        given: list[Bind | Tmpfs] = []
        for number, mount in enumerate(planned):
            if isinstance(mount, File):
                source = os.path.join(bundle, f"file-{number}")
                files.write(source, mount)
                given.append(Bind(source, mount.target, mount.read_only))
            else:
                given.append(mount)
        return given

    def _write_config(
        self, process: Process, rootfs: str, account: Account, given: Sequence[Bind | Tmpfs], bundle: str
    ) -> None:
        config = spec.config(
            process,
            rootfs,
            account,
            given,
            architecture=host_platform().architecture,
            ids=self._ids,
            host_sys=self._host_sys,
            annotations=self._annotations(),
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

    def _annotations(self) -> dict[str, str]:
        """What spares crun compiling the seccomp profile each time."""
        with self._lock:
            if self._compiled is None:
                profile = seccomp.profile(host_platform().architecture)
                program = bpf.compiled(profile) if profile and self._runtime.kind == "crun" else None
                self._compiled = (
                    {bpf.ANNOTATION: binascii.b2a_base64(program, newline=False).decode()} if program else {}
                )
            return self._compiled

    def cancel(self) -> None:
        """Kill everything that runs; each `run` then raises CancelledError, as later ones do."""
        self._processes.cancel()

    def close(self) -> None:
        """Kills what runs, undoes the mounts. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self.cancel()
        self._undo.close()
        with contextlib.suppress(OSError):
            os.rmdir(self._place)


def _points(given: Sequence[Bind | Tmpfs]) -> list[Point]:
    """The mount points to look for: what lies in another mount is that one's affair."""
    points = list(_SYSTEM_POINTS)
    for mount in given:
        path = os.path.normpath(os.path.join("/", mount.target))
        if not any(path.startswith(f"{each.path}/") for each in points):
            points.append(Point(path, isinstance(mount, Tmpfs) or os.path.isdir(mount.source)))
    return points


def _refuse_links(places: dict[str, str]) -> None:
    """Raises StartError where /proc, /sys or /dev of an image leads elsewhere.

    runc refuses the first two; crun 1.8 follows a /dev that is a link, and out of the root filesystem.
    """
    for point in _SYSTEM_POINTS:
        if places[point.path] != point.path:
            raise StartError(f"the image's {point.path} is a symbolic link", "a container needs a directory there")


def _moved(mount: Bind | Tmpfs, places: dict[str, str]) -> Bind | Tmpfs:
    """The mount with its target free of symlinks, as the runtime is to have it."""
    path = os.path.normpath(os.path.join("/", mount.target))
    return msgspec.structs.replace(mount, target=places.get(path, path))


def _like_hidden(mount: Bind | Tmpfs, rootfs: str, stubs: Stubs) -> Bind | Tmpfs:
    """The mount with its mode settled, once it is free of symlinks."""
    if not isinstance(mount, Tmpfs) or not mount.like_hidden or stubs.has_made(mount.target):
        return mount
    try:
        mode = os.lstat(f"{rootfs}{mount.target}").st_mode
    except OSError:
        # In another mount, which is not there yet.
        return mount
    return msgspec.structs.replace(mount, mode=stat.S_IMODE(mode))
