"""Check that loaders and libraries exist where the loaders look for them (ld.so(8), musl's dynlink.c)."""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from polyarch.contents.binaries import Binary
from polyarch.contents.elf import Elf
from polyarch.images.check.findings import Finding
from polyarch.images.check.view import View

# Debian's multiarch directories, which its glibc searches by default.
_MULTIARCH = {
    "386": "i386-linux-gnu",
    "amd64": "x86_64-linux-gnu",
    "arm": "arm-linux-gnueabihf",
    "arm64": "aarch64-linux-gnu",
    "loong64": "loongarch64-linux-gnu",
    "mips64le": "mips64el-linux-gnuabi64",
    "mipsle": "mipsel-linux-gnu",
    "ppc64le": "powerpc64le-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
    "s390x": "s390x-linux-gnu",
}
_GLIBC = ("lib", "usr/lib", "lib64", "usr/lib64", "lib32", "usr/lib32", "libx32", "usr/libx32")
_MUSL = ("lib", "usr/local/lib", "usr/lib")
_MUSL_OWN = re.compile(r"lib(?:c|pthread|rt|m|dl|util|xnet)\.")
_MAX_INCLUDES = 64

# The kind of a binary: machine, class, byte order. A loader ignores libraries of another kind.
_Kind = tuple[int, bool, bool]


def findings(view: View) -> Iterator[Finding]:
    """Findings about dynamic binaries whose loader or libraries are not in the image."""
    if view.platform.os != "linux":
        return
    searcher = _Searcher(view)
    for path, binary in view.binaries.items():
        elf = binary.elf
        if elf is None or view.platform.architecture not in binary.architectures or view.allows(path):
            continue  # a foreign binary does not run, with or without a loader
        if elf.interpreter and elf.is_program and view.follow(elf.interpreter) is None:
            hint = " (the image has musl's loader)" if searcher.has_musl and "musl" not in elf.interpreter else ""
            yield view.finding("loader-missing", "error", f"needs the loader {elf.interpreter}{hint}", path)
            continue  # without the loader, its libraries do not matter
        yield from _libraries(view, searcher, path, binary, elf)


def _libraries(view: View, searcher: "_Searcher", path: str, binary: Binary, elf: Elf) -> Iterator[Finding]:
    for name in elf.needed:
        if searcher.finds(path, elf, name, binary.architectures[0]):
            continue
        elsewhere = searcher.anywhere(name, _kind(elf))
        if not elf.is_program:
            # The program that loads it may have loaded the library, or have set a search path.
            if not elsewhere:
                yield view.finding(
                    "library-missing", "warning", f"a shared object that needs {name}, which is not in the image", path
                )
        elif elsewhere:
            message = f"needs {name}, which is at /{elsewhere}, where the loader does not look"
            yield view.finding("library-missing", "warning", message, path)
        else:
            yield view.finding("library-missing", "error", f"needs {name}, which is not in the image", path)


class _Searcher:
    """Finds libraries in one image, and caches the answers."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._names: dict[str, list[str]] = {}
        for node in view.tree.walk():
            if node.entry.kind in ("file", "symlink"):
                self._names.setdefault(node.entry.path.rpartition("/")[2], []).append(node.entry.path)
        self.has_musl = any(name.startswith("ld-musl-") for name in self._names)
        environment = view.config.env.get("LD_LIBRARY_PATH", "")
        self._environment = [part for part in environment.replace(";", ":").split(":") if part]
        self._glibc = [*_configured(view, "etc/ld.so.conf"), *_GLIBC]
        musl = [
            part
            for name in self._names
            if name.startswith("ld-musl-") and name.endswith(".path")
            for part in view.text(f"etc/{name}").replace("\n", ":").split(":")
            if part
        ]
        self._musl = musl or list(_MUSL)
        self._there: dict[tuple[str, _Kind], bool] = {}

    def finds(self, path: str, elf: Elf, name: str, architecture: str) -> bool:
        """Whether the loader of the binary at `path` finds the library `name`."""
        kind = _kind(elf)
        # A loader does not search for itself, and musl's also contains libraries that are separate elsewhere.
        if name == elf.interpreter.rpartition("/")[2] or ("musl" in elf.interpreter and _MUSL_OWN.match(name)):
            return True
        if "/" in name:
            return self._is_there(_expand(name, path, elf), kind) or bool(self.anywhere(name.rpartition("/")[2], kind))
        if name not in self._names:
            return False
        own = elf.runpath or elf.rpath
        directories = [_expand(part, path, elf) for part in own.split(":") if part] + self._environment
        if "musl" in elf.interpreter or (not elf.interpreter and self.has_musl):
            directories += self._musl
        if "musl" not in elf.interpreter:
            directories += self._glibc
            triplet = _MULTIARCH.get(architecture)
            if triplet:
                directories += [f"lib/{triplet}", f"usr/lib/{triplet}"]
        return any(self._is_there(f"{directory}/{name}", kind) for directory in directories)

    def anywhere(self, name: str, kind: _Kind) -> str:
        """The path of such a library anywhere in the image; empty if there is none."""
        return next((path for path in self._names.get(name, ()) if self._is_there(path, kind)), "")

    def _is_there(self, path: str, kind: _Kind) -> bool:
        key = (path, kind)
        known = self._there.get(key)
        if known is None:
            binary = self._view.binary(self._view.follow(path))
            known = binary is not None and binary.elf is not None and _kind(binary.elf) == kind
            self._there[key] = known
        return known


def _kind(elf: Elf) -> _Kind:
    return (elf.machine, elf.wide, elf.little)


def _expand(directory: str, path: str, elf: Elf) -> str:
    """A directory of an rpath with its tokens replaced."""
    origin = "/" + path.rpartition("/")[0]
    library = "lib64" if elf.wide else "lib"
    for token, value in (("ORIGIN", origin), ("LIB", library), ("PLATFORM", "")):
        directory = directory.replace(f"${{{token}}}", value).replace(f"${token}", value)
    return directory


def _configured(view: View, start: str) -> list[str]:
    """The directories in an ld.so.conf and the files that it includes (ldconfig(8))."""
    directories: list[str] = []
    pending: list[str] = [start]
    seen: set[str] = set()
    while pending and len(seen) < _MAX_INCLUDES:
        path = pending.pop(0)
        if path in seen:
            continue
        seen.add(path)
        for line in view.text(path).splitlines():
            words = line.partition("#")[0].split()
            if words[:1] == ["include"]:
                pending += [match for pattern in words[1:] for match in _matching(view, pattern, path)]
            else:
                directories += [word for word in words if word != "hwcap"]
    return directories


def _matching(view: View, pattern: str, path: str) -> Sequence[str]:
    if not pattern.startswith("/"):
        pattern = f"{path.rpartition('/')[0]}/{pattern}"
    pattern = pattern.lstrip("/")
    directory = pattern.rpartition("/")[0]
    return [child for child in view.tree.children(directory) if fnmatchcase(child, pattern)]
