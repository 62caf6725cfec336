"""Suggestions for unknown names of systems and architectures: `armv7`, `lunix`, `amd64v3`.

`platform.doubts` and the hints of `platform.parse` use them. Only names are compared.
"""

import re

from polyarch.oci.text import distance

# Names used elsewhere: by docker's official images (arm32v7, arm64v8), the kernel, gcc, Windows.
_MEANT = {
    "x64": ("amd64", ""),
    "x86": ("386", ""),
    "i486": ("386", ""),
    "i586": ("386", ""),
    "arm64v8": ("arm64", ""),
    "arm64v9": ("arm64", "v9"),
    "armv8": ("arm64", ""),
    "armv8a": ("arm64", ""),
    "armv9": ("arm64", "v9"),
    "aarch32": ("arm", "v7"),
    "ppc64el": ("ppc64le", ""),
    "mipsel": ("mipsle", ""),
    "mips64el": ("mips64le", ""),
    "riscv": ("riscv64", ""),
}
_WITH_VARIANT = r"(amd64|arm64)[-_]?(v[0-9](?:\.[0-9])?)"
_ARM = r"arm(?:32)?v([567])(?:a|l|hf|hl)?"


def architecture_of(word: str, known: frozenset[str]) -> tuple[str, str]:
    """Return the known architecture and the variant that a wrong name probably means; empty if no name is similar."""
    arm = re.fullmatch(_ARM, word)
    if arm is not None:
        return "arm", f"v{arm[1]}"
    together = re.fullmatch(_WITH_VARIANT, word)
    if word not in _MEANT and together is not None:
        return together[1], together[2]
    return _MEANT.get(word) or (nearest(word, known), "")


def nearest(word: str, known: frozenset[str]) -> str:
    """Return the known name that a wrong name probably means; empty if no name is similar."""
    # Short names have many similar names that mean another machine.
    limit = 2 if len(word) > 4 else 1
    closest = min(sorted(known), key=lambda name: distance(word, name, limit + 1))
    return closest if distance(word, closest, limit + 1) <= limit else ""
