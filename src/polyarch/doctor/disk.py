"""The disk of the store: space, and what its file system can do."""

import ctypes
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polyarch.doctor.diagnosis import Diagnosis
from polyarch.doctor.system import System
from polyarch.sandbox.trial import Trial

_LITTLE = 1 << 30
# As many names as make an offset beyond 2^31 certain where offsets are hashes.
_NAMES = 32


@contextmanager
def trial_directory(root: Path) -> Iterator[str | None]:
    """An empty directory on the disk of the store, which need not exist yet; None if none can be made there."""
    place = _existing(root)
    inside = place / "tmp" if place == root and (place / "tmp").is_dir() else place
    try:
        made = tempfile.TemporaryDirectory(prefix="doctor-", dir=inside, ignore_cleanup_errors=True)
    except OSError:
        yield None
        return
    with made as directory:
        yield directory


def store(root: Path, writable: bool) -> Diagnosis:
    """Where the store is, and the space of its disk."""
    place = _existing(root)
    if not writable:
        return Diagnosis(
            name="store",
            status="missing",
            found=str(root),
            reason=f"this user cannot write to {place}",
            mend="choose another directory: export POLYARCH_ROOT=DIR",
        )
    status = os.statvfs(place)
    free = status.f_bavail * status.f_frsize
    found = f"{root}, {free / 1e9:.1f} GB free" + ("" if root.exists() else ", not made yet")
    if free < _LITTLE or (status.f_files and status.f_favail < status.f_files / 100):
        what = "space" if free < _LITTLE else "inodes"
        return Diagnosis(
            name="store",
            status="limited",
            found=found,
            reason=f"its disk has few {what} left" if what == "inodes" else "its disk has little space left",
            mend="polyarch system prune",
        )
    if status.f_flag & os.ST_NOEXEC:
        return Diagnosis(
            name="store",
            status="limited",
            found=found,
            reason="its file system is mounted noexec: emulators cannot be copied there, which makes them slower",
            mend="choose another directory: export POLYARCH_ROOT=DIR",
        )
    return Diagnosis(name="store", status="ok", found=found)


def file_system(system: System, root: Path, directory: str | None, trial: Trial) -> Diagnosis:
    """Whether overlay works on it, and 32-bit programs under emulation can read its directories."""
    kind = _kind(system, _existing(root))
    if trial.overlay is not None:
        return Diagnosis(
            name="file system",
            status="missing",
            found=kind,
            reason=f"RUN and `polyarch run` do not work: {trial.overlay.message}",
            mend=trial.overlay.hint,
        )
    if directory is not None and _has_large_offsets(directory) and not _are_shortened(system, trial):
        return Diagnosis(
            name="file system",
            status="limited",
            found=kind,
            reason="some emulated 32-bit programs find no files in directories: "
            "their readdir has no room for the 64-bit offsets of this file system",
            mend="use Debian's or Ubuntu's qemu-user-static on an amd64 machine with Linux 6.7 or later, or keep the "
            "store on tmpfs, xfs or btrfs: export POLYARCH_ROOT=DIR",
        )
    tried = "; overlay works on it" if trial.namespace is None and directory is not None else ""
    return Diagnosis(name="file system", status="ok", found=kind + tried)


def _existing(path: Path) -> Path:
    """The path itself, or the nearest directory above it that exists."""
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path


def _kind(system: System, path: Path) -> str:
    """The type of the file system at a path, such as ext4: of the last mount whose place is the longest prefix."""
    real = os.path.realpath(path)
    best, kind = "", "unknown"
    for line in system.read("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        place = before.split()[4].replace("\\040", " ") if len(before.split()) > 4 else ""
        prefix = place.rstrip("/") + "/"
        if (real + "/").startswith(prefix) and len(prefix) >= len(best) and after:
            best, kind = prefix, after.split()[0]
    return kind


class _Entry(ctypes.Structure):
    """The begin of struct dirent on a 64-bit machine, see readdir(3)."""

    _fields_ = (("number", ctypes.c_uint64), ("offset", ctypes.c_int64))


def _are_shortened(system: System, trial: Trial) -> bool:
    """Whether the copies of all emulators for 32-bit programs shorten the offsets, and builds use the copies."""
    from polyarch.oci.platform import Platform
    from polyarch.sandbox import emulator_forms, find_emulator, probe

    if trial.namespace is not None or trial.table is not None:
        return False
    names = [name for name, machine in probe.MACHINES.items() if machine.bits == 32]
    found = (find_emulator(Platform(os="linux", architecture=name), system.search_path) for name in names)
    return all(emulator_forms.shortens_positions(emulator) for emulator in found if emulator)


def _has_large_offsets(directory: str) -> bool:
    """Whether entries of new directories have offsets that do not fit in 32 bits.

    An emulator with 64 bits hands them to its 32-bit program, whose readdir fails with EOVERFLOW if it was built
    without large files. ext4 has such offsets, because they are hashes of the names.
    """
    if struct.calcsize("P") != 8:
        return False
    libc = ctypes.CDLL(None)
    libc.opendir.restype = ctypes.c_void_p
    libc.readdir.argtypes = libc.closedir.argtypes = [ctypes.c_void_p]
    libc.readdir.restype = ctypes.POINTER(_Entry)
    with tempfile.TemporaryDirectory(dir=directory) as place:
        for number in range(_NAMES):
            os.close(os.open(f"{place}/{number}", os.O_CREAT | os.O_WRONLY, 0o600))
        stream = libc.opendir(os.fsencode(place))
        if not stream:
            return False
        try:
            offsets = []
            while entry := libc.readdir(stream):
                offsets.append(entry.contents.offset)
        finally:
            libc.closedir(stream)
    # The last entry of ext4 has the largest 63-bit number, that of others the number of entries.
    return any(offset > 0x7FFFFFFF for offset in offsets[:-1])
