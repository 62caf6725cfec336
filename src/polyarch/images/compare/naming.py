"""Match paths that differ only in the name of the architecture, such as x86_64-linux-gnu and aarch64-linux-gnu."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from functools import lru_cache

_WORDS = {
    "386": ("i386", "i486", "i586", "i686", "x86", "386"),
    "amd64": ("x86_64", "x86-64", "amd64", "x64"),
    "arm": ("armhf", "armel", "armv5l", "armv6l", "armv7l", "armv6", "armv7", "arm"),
    "arm64": ("aarch64", "arm64", "armv8"),
    "loong64": ("loongarch64", "loong64"),
    "mips64le": ("mips64el", "mips64le"),
    "mipsle": ("mipsel", "mipsle"),
    "ppc64le": ("powerpc64le", "ppc64le", "ppc64el"),
    "riscv64": ("riscv64",),
    "s390x": ("s390x",),
}
# The end of Debian's names depends on the float ABI of arm, and on mips.
_ABI = r"(?:-linux-(?:gnu|musl)(?:eabihf|eabi|abi64|x32)?)"
_LOADER = re.compile(r"((?:usr/)?lib)(?:64|32|x32)?((?:/[^/]*)?/)ld(?:64|-linux|-musl)?[^/]*\.so\.\d")
_LIBDIR = re.compile(r"(?:usr/(?:local/)?)?lib(?:64|32|x32|o32)")


def neutral(path: str, architecture: str) -> str:
    """`path` with the names of its architecture replaced; empty for a path that depends on the architecture.

    These are directories or links such as lib64 and lib32: the location of 64-bit libraries depends on the
    architecture.
    """
    if _LIBDIR.fullmatch(path):
        return ""
    if loader := _LOADER.fullmatch(path):
        return f"{loader[1]}{rewrite(loader[2], architecture)}{{loader}}"
    return rewrite(path, architecture)


def rewrite(text: str, architecture: str) -> str:
    """`text` with the names of `architecture` replaced."""
    pattern = _pattern(architecture)
    return text if pattern is None else pattern.sub(_replace, text)


def aligned(columns: Sequence[tuple[str, Collection[str]]]) -> list[dict[str, str]]:
    """For the architecture and the paths of each image: the name for comparison, by path.

    A path that several images have is not changed, even with an architecture in it (/opt/tool-arm64 in both). Others
    get the name of `neutral`, if another image has that too. Paths that depend on the architecture are left out.
    """
    shared = Counter(path for _, paths in columns for path in paths)
    result: list[dict[str, str]] = []
    for architecture, paths in columns:
        named = ((path, neutral(path, architecture)) for path in paths)
        result.append({path: path if shared[path] > 1 else name for path, name in named if name})
    count = Counter(name for column in result for name in set(column.values()))
    return [{path: name if count[name] > 1 else path for path, name in column.items()} for column in result]


def _replace(match: "re.Match[str]") -> str:
    return "{arch}-linux" if match[1] else "{arch}"


@lru_cache(maxsize=32)
def _pattern(architecture: str) -> "re.Pattern[str] | None":
    words = _WORDS.get(architecture)
    if words is None:
        return None
    return re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(words)})({_ABI})?(?![A-Za-z0-9])")
