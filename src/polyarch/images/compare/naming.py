"""Paths that are other paths on another architecture, by name alone: x86_64-linux-gnu is there what
aarch64-linux-gnu is here."""

import re
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
# Debian's names of the same architecture end differently on the two floats of arm and on mips.
_ABI = r"(?:-linux-(?:gnu|musl)(?:eabihf|eabi|abi64|x32)?)"
_LOADER = re.compile(r"((?:usr/)?lib)(?:64|32|x32)?((?:/[^/]*)?/)ld(?:64|-linux|-musl)?[^/]*\.so\.\d")
_LIBDIR = re.compile(r"(?:usr/(?:local/)?)?lib(?:64|32|x32|o32)")


def neutral(path: str, architecture: str) -> str:
    """`path` with the words for its own architecture replaced; empty for one that only an architecture has.

    That is the case of a directory lib64 or lib32, or a link of this name: where 64-bit libraries are is a matter of
    the architecture.
    """
    if _LIBDIR.fullmatch(path):
        return ""
    if loader := _LOADER.fullmatch(path):
        return f"{loader[1]}{rewrite(loader[2], architecture)}{{loader}}"
    return rewrite(path, architecture)


def rewrite(text: str, architecture: str) -> str:
    """`text` with the words for `architecture` replaced."""
    pattern = _pattern(architecture)
    return text if pattern is None else pattern.sub(_replace, text)


def _replace(match: "re.Match[str]") -> str:
    return "{arch}-linux" if match[1] else "{arch}"


@lru_cache(maxsize=32)
def _pattern(architecture: str) -> "re.Pattern[str] | None":
    words = _WORDS.get(architecture)
    if words is None:
        return None
    return re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(words)})({_ABI})?(?![A-Za-z0-9])")
