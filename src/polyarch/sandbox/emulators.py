"""Finding emulators on this machine, and copying them so that they are faster and take no options from the environment.

qemu-user reads some twenty variables of its program as its own options: with QEMU_VERSION set, every program prints
qemu's version and exits with 0. Some images set such variables, for example images that build qemu. A copy in which
these names are empty strings reads none of them, because no variable has an empty name. The program gets all its
variables unchanged. `emulator_file` says what makes a copy faster, `emulator_code` what its programs see.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO, Literal

import msgspec

from polyarch.errors import UnsupportedError
from polyarch.sandbox import syscalls
from polyarch.sandbox.mounts import Bind

if TYPE_CHECKING:
    from polyarch.sandbox.emulator_image import EmulatorImage

# qemu's name of each architecture (GOARCH).
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
# The variables that every qemu-user from 7.2 to 11.1 reads. VARIABLES adds those that only some of them read.
_ALWAYS = frozenset(
    f"QEMU_{name}"
    for name in "ARGV0 CPU DFILTER GDB GUEST_BASE LD_PREFIX LOG LOG_FILENAME RAND_SEED RESERVED_VA SET_ENV STACK_SIZE "
    "STRACE TRACE UNAME UNSET_ENV VERSION".split()
)
VARIABLES = _ALWAYS | {
    f"QEMU_{name}" for name in "JITDUMP ONE_INSN_PER_TB PAGESIZE PERFMAP PLUGIN RTSIG_MAP SINGLESTEP TB_SIZE".split()
}
# The name of an unfinished file. Only a killed process leaves one behind; the next process that makes a copy
# removes it.
_NEW = "new"
# Changed when copies are made in another way. Their names, the digests of the original and this, then change, too.
_FORM = "3"
_NAME = rb"QEMU_[A-Z0-9_]+(?=\0)"
_LONGEST_NAME = 256


def find(architecture: str, search_path: str) -> str | None:
    """Return the path of a static qemu for `architecture` (GOARCH) on `search_path`, or None.

    `search_path` has directories separated by colons. The first directory that has a qemu wins; within a directory, the
    name that ends in -static.
    """
    name = QEMU.get(architecture)
    if name is None:
        return None
    for directory in search_path.split(":"):
        for word in (f"qemu-{name}-static", f"qemu-{name}"):
            path = os.path.join(directory, word)
            # An unreadable file must not keep programs of other platforms from running.
            with contextlib.suppress(OSError):
                if directory.startswith("/") and os.access(path, os.X_OK) and is_static(path):
                    return os.path.realpath(path)
    return None


def is_static(path: str) -> bool:
    """Return whether an ELF program names no interpreter. A dynamic one would look for its own inside the container."""
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


def usable(interpreter: str) -> str | None:
    """Return the interpreter that the host has registered, if it is a file here that can be registered again."""
    try:
        return interpreter if os.access(interpreter, os.X_OK) and is_static(interpreter) else None
    except OSError:
        return None


def fault(path: str, architecture: str) -> str:
    """Return why `path` cannot emulate programs of `architecture`; empty if it can."""
    from polyarch.sandbox.emulator_forms import starts

    if not os.path.isfile(path):
        return f"there is no emulator {path}" if not os.path.exists(path) else f"{path} is not a file"
    if not os.access(path, os.X_OK):
        return f"{path} cannot be executed: 'chmod +x' lets it"
    try:
        if not is_static(path):
            return f"{path} is not a static program: it would look for its libraries in the container"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return "" if starts(path, architecture) else f"{path} does not run programs for {architecture}"


class _Known(msgspec.Struct, frozen=True):
    """The identity of an emulator when it was copied (inode, size and times), and the name of the copy.

    `form` says how the copy was made. `reason` says why there is no copy; it is empty if there is one. `unknown` are
    the processors that were wanted and cannot be shown. `short_positions`: see `EmulatorCopy`.
    """

    identity: tuple[int, ...]
    name: str = ""
    form: str = ""
    reason: str = ""
    unknown: tuple[str, ...] = ()
    short_positions: bool = False


class EmulatorCopy(msgspec.Struct, frozen=True):
    """A copy. `unknown` are the processors that were wanted and cannot be shown: qemu then chooses.

    With `short_positions`, its 32-bit programs see positions in directories that fit (`emulator_code`).
    """

    path: str
    unknown: tuple[str, ...] = ()
    short_positions: bool = False


class EmulatorCopies:
    """The copies in one directory, each named by the SHA-256 digest of its original and of how it was made.

    `known.json` maps emulators to names, so that each emulator is read only once. Several processes may use the
    directory at once. Making a copy removes copies whose original is gone.
    """

    def __init__(self, directory: str) -> None:
        """`directory` is created when it is needed."""
        self._directory = directory

    def copy(self, emulator: str, architecture: str, models: tuple[str, ...]) -> EmulatorCopy:
        """Return a copy of `emulator`, for programs of `architecture`, that reads no variables.

        It is made if it is missing. `models` are the processors that it shows (`processors.Answers.table`). Raises
        UnsupportedError for an emulator whose variables are not where they are expected, and OSError.
        """
        identity, key = _identity(os.stat(emulator)), _key(emulator, architecture, models)
        known = self._read().get(key)
        if not self._is_current(known, identity):
            with self._locked():
                known = self._read().get(key)
                if not self._is_current(known, identity):
                    known = self._make(key, emulator, identity, architecture, models)
        assert known is not None
        if known.reason:
            raise UnsupportedError(known.reason)
        path = os.path.join(self._directory, known.name)
        # Mark the copy as used: the least recently used entries of a limited cache are removed first.
        os.utime(path)
        return EmulatorCopy(path, known.unknown, known.short_positions)

    def has(self, emulator: str, architecture: str, models: tuple[str, ...]) -> bool:
        """Return whether `copy` would not have to make this copy, nor find out again why it cannot be made."""
        try:
            status = os.stat(emulator)
        except OSError:
            return False
        return self._is_current(self._read().get(_key(emulator, architecture, models)), _identity(status))

    def forbids_execution(self) -> bool:
        """Return whether the directory's file system forbids execution (mount option noexec). Raises OSError."""
        return bool(os.statvfs(self._directory).f_flag & os.ST_NOEXEC)

    def _is_current(self, known: _Known | None, identity: tuple[int, ...]) -> bool:
        if known is None or known.identity != identity or known.form != _FORM:
            return False
        return bool(known.reason) or os.path.exists(os.path.join(self._directory, known.name))

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

    def _make(
        self, key: str, emulator: str, identity: tuple[int, ...], architecture: str, models: tuple[str, ...]
    ) -> _Known:
        import hashlib

        from polyarch.sandbox.emulator_image import EmulatorImage

        with open(emulator, "rb") as file:
            content = EmulatorImage.of_file(file.fileno())
            digest = hashlib.sha256()
            for piece in content.pieces():
                digest.update(piece)
            digest.update("\0".join((_FORM, architecture, *models)).encode())
            known = _Known(identity, digest.hexdigest(), _FORM)
            try:
                names = variables(content)
            except UnsupportedError as error:
                known = msgspec.structs.replace(known, reason=error.message)
            else:
                known = self._write(known, emulator, architecture, models, content, names.values())
        # Drop the copies of emulators that no longer exist, and those of other versions of Polyarch.
        entries = {
            name: entry
            for name, entry in self._read().items()
            if entry.form == _FORM and os.path.exists(name.partition("\0")[0])
        }
        entries[key] = known
        with self._replaced(self._index) as index:
            index.write(msgspec.json.encode(entries))
        wanted = {entry.name for entry in entries.values()}
        for name in os.listdir(self._directory):
            if name not in wanted and name not in ("lock", os.path.basename(self._index)):
                os.unlink(os.path.join(self._directory, name))
        return known

    def _write(
        self,
        known: _Known,
        emulator: str,
        architecture: str,
        models: tuple[str, ...],
        content: "EmulatorImage",
        names: Iterable[int],
    ) -> _Known:
        """Write the best form of a copy that works, and return what is known of it."""
        from polyarch.sandbox import emulator_forms

        path = os.path.join(self._directory, known.name)
        available = {model for model in set(models) if model and emulator_forms.starts(emulator, architecture, model)}
        table = tuple(model if model in available else "" for model in models)
        for form in emulator_forms.forms(content, names, architecture, table):
            self._write_image(path, form.image)
            if emulator_forms.starts(path, architecture):
                break
        unknown = tuple(sorted({model for model in models if model and model not in form.shown}))
        return msgspec.structs.replace(known, unknown=unknown, short_positions=form.short_positions)

    def _write_image(self, path: str, image: "EmulatorImage") -> None:
        with self._replaced(path) as file:
            file.writelines(image.pieces())
            file.flush()
            # The name states the content, so the content must survive a power failure.
            os.fdatasync(file.fileno())
            os.fchmod(file.fileno(), 0o755)

    @contextlib.contextmanager
    def _replaced(self, path: str) -> Iterator[BinaryIO]:
        """Yield a file to write, which then replaces `path`. If an exception is raised, it is removed."""
        unnamed = os.path.join(self._directory, _NEW)
        try:
            with open(unnamed, "wb") as file:
                yield file
            os.replace(unnamed, path)
        except BaseException:
            # The file may not exist. Report the original error.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(unnamed)
            raise


def variables(content: "EmulatorImage") -> dict[str, int]:
    """Return the offsets of the names of the variables that a qemu reads, in the content of its file.

    Raises UnsupportedError unless each name occurs once, as a separate string, and all names common to all versions are
    present.
    """
    pattern = re.compile(_NAME)
    offsets: dict[str, int] = {}
    for at in content.places(b"QEMU_"):
        name = pattern.match(content.read(at, _LONGEST_NAME))
        if name is None:
            continue
        word = name.group().decode()
        alone = at > 0 and content.read(at - 1, 1) == b"\0"
        if alone and word not in offsets:
            offsets[word] = at
        elif alone or word in VARIABLES:
            raise UnsupportedError(f"{word} does not occur exactly once, as a separate string, in this emulator")
    missing = sorted(_ALWAYS - set(offsets))
    if missing:
        raise UnsupportedError(f"{missing[0]} does not occur in this emulator")
    return offsets


@contextlib.contextmanager
def shown_as(copy: str, emulator: str) -> Iterator[str]:
    """Yield the path of an emulator, over which its copy is mounted meanwhile in this process's mount namespace.

    Every emulated process has this path as the first word of its command line. The path of the copy would reveal where
    the user's store is, and differ from machine to machine.
    """
    try:
        Bind(copy, emulator).perform()
    except FileNotFoundError:
        raise
    except OSError:
        yield copy
        return
    try:
        yield emulator
    finally:
        syscalls.umount(emulator, syscalls.MNT_DETACH)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _key(emulator: str, architecture: str, models: tuple[str, ...]) -> str:
    return "\0".join((emulator, architecture, *models))
