"""Emulators on this machine, and copies of them that take no options from the environment.

qemu-user reads some twenty variables of the program that it runs as its own options: with QEMU_VERSION set, every
program prints qemu's version and exits with 0. Images have such variables, for example those that build qemu. A copy
in which these names are empty strings reads none of them, because no variable has an empty name; the program gets all
its variables unchanged.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, Literal

import msgspec

from polyarch.errors import UnsupportedError

if TYPE_CHECKING:
    import mmap

# What qemu calls an architecture (GOARCH).
QEMU = {
    "amd64": "x86_64",
    "386": "i386",
    "arm": "arm",
    "arm64": "aarch64",
    "riscv64": "riscv64",
    "ppc64le": "ppc64le",
    "ppc64": "ppc64",
    "s390x": "s390x",
    "mips64": "mips64",
    "mips64le": "mips64el",
    "loong64": "loongarch64",
}
# The variables that every qemu-user from 7.2 to 11.1 reads, and those that only some of these versions read.
_ALWAYS = frozenset(
    f"QEMU_{name}"
    for name in "ARGV0 CPU DFILTER GDB GUEST_BASE LD_PREFIX LOG LOG_FILENAME RAND_SEED RESERVED_VA SET_ENV STACK_SIZE "
    "STRACE TRACE UNAME UNSET_ENV VERSION".split()
)
VARIABLES = _ALWAYS | {
    f"QEMU_{name}" for name in "JITDUMP ONE_INSN_PER_TB PAGESIZE PERFMAP PLUGIN RTSIG_MAP SINGLESTEP TB_SIZE".split()
}
# The name of a file in the making. Only a process that was killed leaves it: the next one to make a copy removes it.
_NEW = "new"
_NAME = rb"QEMU_[A-Z0-9_]+(?=\0)"


def find(architecture: str, search_path: str) -> str | None:
    """The path of a static qemu for `architecture` (GOARCH) on `search_path`, directories joined by colons.

    The first directory that has one wins; in one directory, the name that ends in -static.
    """
    name = QEMU.get(architecture)
    if name is None:
        return None
    for directory in search_path.split(":"):
        for word in (f"qemu-{name}-static", f"qemu-{name}"):
            path = os.path.join(directory, word)
            # One that cannot be read must not keep programs of other platforms from running.
            with contextlib.suppress(OSError):
                if directory.startswith("/") and os.access(path, os.X_OK) and is_static(path):
                    return os.path.realpath(path)
    return None


def is_static(path: str) -> bool:
    """Whether an ELF program names no interpreter: a dynamic one would look for its own inside the container."""
    with open(path, "rb") as file:
        head = file.read(64)
        if head[:4] != b"\x7fELF" or len(head) < 64:
            return False
        order: Literal["little", "big"] = "little" if head[5] == 1 else "big"
        wide = head[4] == 2
        table = int.from_bytes(head[32:40] if wide else head[28:32], order)
        size = int.from_bytes(head[54:56] if wide else head[42:44], order)
        count = int.from_bytes(head[56:58] if wide else head[44:46], order)
        file.seek(table)
        segments = file.read(size * count)
    kinds = {int.from_bytes(segments[at : at + 4], order) for at in range(0, len(segments), size or 1)}
    return 3 not in kinds  # PT_INTERP


class _Known(msgspec.Struct, frozen=True):
    """What an emulator was when it was copied: inode, size and times; and the digest of its content.

    `reason` says why there is no copy, empty where there is one.
    """

    identity: tuple[int, ...]
    digest: str
    reason: str = ""


class EmulatorCopies:
    """The copies in one directory, each named by the SHA-256 of the emulator that it was made of.

    `known.json` says which emulator has which digest, so that none is read twice. Several processes may use the
    directory at once; a copy that belongs to no emulator any more is removed when another is made.
    """

    def __init__(self, directory: str) -> None:
        """`directory` is made when it is needed."""
        self._directory = directory

    def copy(self, emulator: str) -> str:
        """The path of a copy of the file `emulator` that reads no variables; made where it is missing.

        Raises UnsupportedError for an emulator whose variables are not where they are expected, OSError.
        """
        found = os.stat(emulator)
        identity = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        known = self._read().get(emulator)
        if not self._is_current(known, identity):
            with self._locked():
                known = self._read().get(emulator)
                if not self._is_current(known, identity):
                    known = self._make(emulator, identity)
        assert known is not None
        if known.reason:
            raise UnsupportedError(known.reason)
        path = os.path.join(self._directory, known.digest)
        # What was not used for the longest goes first where the cache has a limit.
        os.utime(path)
        return path

    def forbids_execution(self) -> bool:
        """Whether the copies lie where nothing can be executed (mount option noexec). Raises OSError."""
        return bool(os.statvfs(self._directory).f_flag & os.ST_NOEXEC)

    def _is_current(self, known: _Known | None, identity: tuple[int, ...]) -> bool:
        if known is None or known.identity != identity:
            return False
        return bool(known.reason) or os.path.exists(os.path.join(self._directory, known.digest))

    def _read(self) -> dict[str, _Known]:
        with contextlib.suppress(OSError, msgspec.DecodeError), open(self._index, "rb") as file:
            return msgspec.json.decode(file.read(), type=dict[str, _Known])
        return {}

    @property
    def _index(self) -> str:
        return os.path.join(self._directory, "known.json")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        lock = os.open(os.path.join(self._directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _make(self, emulator: str, identity: tuple[int, ...]) -> _Known:
        import hashlib
        import mmap

        with open(emulator, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            digest = hashlib.sha256(content).hexdigest()
            try:
                names = variables(content)
                known = _Known(identity, digest)
            except UnsupportedError as error:
                known = _Known(identity, digest, error.message)
            else:
                self._write(os.path.join(self._directory, digest), content, names)
        # An emulator that is gone from this machine has no use for its copy.
        entries = {path: one for path, one in self._read().items() if os.path.exists(path)}
        entries[emulator] = known
        with self._replaced(self._index) as index:
            index.write(msgspec.json.encode(entries))
        wanted = {one.digest for one in entries.values()}
        for name in os.listdir(self._directory):
            if name not in wanted and name not in ("lock", os.path.basename(self._index)):
                os.unlink(os.path.join(self._directory, name))
        return known

    def _write(self, path: str, content: "mmap.mmap", names: dict[str, int]) -> None:
        with self._replaced(path) as file:
            file.write(content)
            for offset in names.values():
                file.seek(offset)
                file.write(b"\0")
            file.flush()
            # The name promises the content, after a power cut, too.
            os.fdatasync(file.fileno())
            os.fchmod(file.fileno(), 0o755)

    @contextlib.contextmanager
    def _replaced(self, path: str) -> Iterator[BinaryIO]:
        """A file to write, which becomes `path` when that is done, and is removed where a full disk stops it."""
        unnamed = os.path.join(self._directory, _NEW)
        try:
            with open(unnamed, "wb") as file:
                yield file
            os.replace(unnamed, path)
        except BaseException:
            # What could not be made is not there: why it could not is what counts.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(unnamed)
            raise


def variables(content: "bytes | mmap.mmap") -> dict[str, int]:
    """Where the names of the variables that a qemu reads begin in its file.

    Raises UnsupportedError unless each is there once, as a string of its own, and those of all versions are there.
    """
    pattern = re.compile(_NAME)
    found: dict[str, int] = {}
    at = -1
    while (at := content.find(b"QEMU_", at + 1)) >= 0:
        name = pattern.match(content, at)
        if name is None:
            continue
        word = name.group().decode()
        alone = at > 0 and content[at - 1 : at] == b"\0"
        if alone and word not in found:
            found[word] = at
        elif alone or word in VARIABLES:
            raise UnsupportedError(f"{word} is not once, as a string of its own, in this emulator")
    missing = sorted(_ALWAYS - set(found))
    if missing:
        raise UnsupportedError(f"{missing[0]} is not in this emulator")
    return found
