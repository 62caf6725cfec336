"""Trying what a build needs of the kernel, in a child process, so that nothing of this machine changes."""

import os
import shutil
from pathlib import Path

import msgspec

from polyarch.errors import PolyarchError, UnsupportedError
from polyarch.sandbox import namespaces, probe, runtime, syscalls
from polyarch.sandbox.binfmt import BinfmtTable
from polyarch.sandbox.container import Sandbox
from polyarch.sandbox.forked import in_child
from polyarch.sandbox.host import host_platform
from polyarch.sandbox.overlay import Overlay
from polyarch.sandbox.process import Process


class Refusal(msgspec.Struct, frozen=True):
    """Why something does not work here, and what would help; the hint may be empty."""

    message: str
    hint: str = ""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a process may do here. Each refusal is None if it works, or if it could not be tried.

    `ids` is the number of user ids in the namespace, and `warnings` are those of `namespaces.enter`. `table` concerns a
    table of emulators of its own, `container` a process that was started as a RUN step is.
    """

    namespace: Refusal | None = None
    ids: int = 0
    warnings: tuple[str, ...] = ()
    table: Refusal | None = None
    overlay: Refusal | None = None
    container: Refusal | None = None


def trial(search_path: str, directory: str | None) -> Trial:
    """Enter a user namespace, make a table of emulators, and below `directory` mount an overlay and start a container.

    The directory is empty; what was made in it is removed. Without one, the last two are not tried. Nor is a container
    without an OCI runtime or an overlay.
    """
    return in_child(lambda: _tried(search_path, directory), Trial, "cannot find out what this machine allows")


def _tried(search_path: str, directory: str | None) -> Trial:
    try:
        entered = namespaces.enter(search_path)
    except UnsupportedError as error:
        return Trial(namespace=_refusal(error))
    with open("/proc/self/uid_map", encoding="ascii") as lines:
        ids = sum(int(line.split()[2]) for line in lines)
    overlay = None if directory is None else _overlay(directory)
    return Trial(
        ids=ids,
        warnings=entered.warnings,
        table=_table(),
        overlay=overlay,
        container=None if directory is None or overlay is not None else _container(Path(directory), search_path),
    )


def _table() -> Refusal | None:
    try:
        BinfmtTable()
    except OSError as error:
        return Refusal(error.strerror or str(error))
    return None


def _overlay(directory: str) -> Refusal | None:
    lower, upper, work, merged = (os.path.join(directory, name) for name in ("lower", "upper", "work", "merged"))
    try:
        for path in (lower, upper, work, merged):
            os.mkdir(path)
        Overlay((lower,), upper, work, merged).perform()
        syscalls.umount(merged, syscalls.MNT_DETACH)
    except UnsupportedError as error:
        return _refusal(error)
    except OSError as error:
        return Refusal(f"{error.filename}: {error.strerror}")
    finally:
        # overlayfs leaves a directory that only root of this namespace may read.
        for path in (lower, upper, work, merged):
            shutil.rmtree(path, ignore_errors=True)
    return None


def _container(directory: Path, search_path: str) -> Refusal | None:
    """Start the smallest program of this machine in a container, as RUN does."""
    try:
        runtime.find(search_path)
    except UnsupportedError:
        return None  # which is said elsewhere
    layer, place = directory / "layer", directory / "sandbox"
    program = probe.executable(host_platform())
    try:
        for path in (layer, place):
            path.mkdir(mode=0o755)
        (layer / "probe").write_bytes(program or b"")
        (layer / "probe").chmod(0o755)
        with (
            Sandbox(place, search_path, str(directory / "emulators")) as sandbox,
            sandbox.rootfs([str(layer)]) as rootfs,
        ):
            status = sandbox.run(Process(argv=("/probe",)), rootfs)
    except PolyarchError as error:
        return _refusal(error)
    except OSError as error:
        return Refusal(f"{error.filename}: {error.strerror}")
    finally:
        for path in (layer, place, directory / "emulators"):
            shutil.rmtree(path, ignore_errors=True)
    return Refusal(f"a program that does nothing ended with status {status}") if status else None


def _refusal(error: PolyarchError) -> Refusal:
    return Refusal(error.message, error.hint or "")
