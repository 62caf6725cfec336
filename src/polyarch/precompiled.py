"""The code of all modules that commands import in one file, so that none needs to look for three hundred.

For each module, Python searches directories, compares two stamps, and opens and reads a .pyc file. With all code in one
file, an import costs one stat(2) and one read, and a command starts a tenth earlier. The file lies in `__pycache__`
beside our .pyc files, and is as disposable and as trusted as they are: a command that may write there writes it at its
end, unless PYTHONDONTWRITEBYTECODE forbids it. A module whose source has another time or size is imported as usual, and
so is everything if Python would search other directories.
"""

import contextlib
import marshal
import os
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader

# Type checkers take it for typing.TYPE_CHECKING, which would cost every command an import of typing.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType, ModuleType

_HOME = os.path.dirname(os.path.abspath(__file__))
# The file begins with the offset of its table, in so many bytes; before the table lies the code of all modules.
_HEAD = 8
_Row = tuple[str, int, int, int, int]


class Precompiled:
    """Finds modules in the one file (a `sys.meta_path` finder), and adds those that it lacked. It owns an open file.

    The table has for each module the path of its source, the modification time (nanoseconds) and size of that, and
    where its code is: offset and length. It is for one `sys.path`, and for one release of Python.
    """

    def __init__(self, home: str = _HOME) -> None:
        self._path = f"{home}/__pycache__/modules.{sys.implementation.cache_tag}-{sys.hexversion:x}"
        self._rows: dict[str, _Row] = {}
        self._file = -1
        with contextlib.suppress(OSError, ValueError, EOFError, TypeError, OverflowError, MemoryError):
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            table = int.from_bytes(os.pread(self._file, _HEAD, 0), "little")
            searched, rows = marshal.loads(os.pread(self._file, os.fstat(self._file).st_size - table, table))
            if searched == sys.path:
                self._rows = rows

    def install(self) -> None:
        """Serve the imports of this process from now on."""
        sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> ModuleSpec | None:
        """Implements `importlib.abc.MetaPathFinder`."""
        row = self._rows.get(name)
        if row is None or _stamp(row[0]) != row[1:3]:
            return None
        file = row[0]
        package = file.endswith("/__init__.py")
        code = os.pread(self._file, row[4], row[3])
        spec = ModuleSpec(name, _Loader(name, file, code), origin=file, is_package=package)
        spec.has_location = True
        # Otherwise Python works out which .pyc file it would be: 5 µs for each module.
        spec.cached = self._path
        if package:
            spec.submodule_search_locations = [os.path.dirname(file)]
        return spec

    def close(self) -> None:
        """Write the modules that this process imported in the usual way. If that fails, nothing changes."""
        if not sys.dont_write_bytecode:
            # An interruption is too late for the command, which has ended.
            with contextlib.suppress(OSError, KeyboardInterrupt):
                if added := dict(self._missing()):
                    self._write(added)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._rows = {}

    def _missing(self) -> "Iterator[tuple[str, tuple[str, int, int, bytes]]]":
        for name, module in list(sys.modules.items()):
            # typing.io is a class; __main__ has the name of another module.
            loader = getattr(getattr(module, "__spec__", None), "loader", None)
            if type(loader) is not SourceFileLoader or loader.name != name:
                continue
            known, stamp = self._rows.get(name), _stamp(loader.path)
            # What is imported before `install` comes by here each time.
            if stamp is None or (known is not None and known[1:3] == stamp):
                continue
            code = loader.get_code(name)
            if code is not None and stamp == _stamp(loader.path):
                yield name, (loader.path, *stamp, marshal.dumps(code))

    def _write(self, added: "dict[str, tuple[str, int, int, bytes]]") -> None:
        """Replace the file, atomically."""
        whole = {name: (*row[:3], os.pread(self._file, row[4], row[3])) for name, row in self._rows.items()} | added
        rows: dict[str, _Row] = {}
        at = _HEAD
        for name, (path, time, size, code) in whole.items():
            rows[name] = (path, time, size, at, len(code))
            at += len(code)
        beside = f"{self._path}.{os.getpid()}"
        try:
            # With any umask, other users must not write code that this user runs.
            with open(beside, "xb", opener=lambda path, flags: os.open(path, flags, 0o644)) as file:
                file.write(at.to_bytes(_HEAD, "little"))
                file.writelines(row[3] for row in whole.values())
                file.write(marshal.dumps((sys.path, rows)))
            os.replace(beside, self._path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(beside)
            raise


class _Loader(SourceFileLoader):
    """A loader that has the code already."""

    def __init__(self, name: str, path: str, code: bytes) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> "CodeType | None":
        """Implements `importlib.abc.InspectLoader`."""
        if not self._code:
            return super().get_code(fullname)
        # A second call is rare, and reads the file again. A cached build would keep 3 MB of such bytes.
        raw, self._code = self._code, b""
        code: CodeType = marshal.loads(raw)
        return code


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
