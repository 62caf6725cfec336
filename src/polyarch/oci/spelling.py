"""What a platform that no machine has was probably meant to be: `linux/armv7`, `lunix/amd64`, `linux/amd64v3`.

`platform.parse` takes any names, because images of any platform can be moved. Who makes an image asks `doubts` first.
"""

import re
from collections.abc import Iterable

from polyarch.errors import UsageError
from polyarch.oci import platform as platforms
from polyarch.oci.platform import KNOWN_ARCHITECTURES, KNOWN_SYSTEMS, Platform
from polyarch.oci.text import distance

# What people write who know other names: docker's own repositories (arm32v7, arm64v8), the kernel, gcc, Windows.
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


def doubts(wanted: Iterable[Platform]) -> list[str]:
    """As of `platform.doubts`, for platforms of which not both names are known."""
    warnings: list[str] = []
    for platform in wanted:
        found = meant(platform)
        if found is not None:
            raise UsageError(f"there is no platform {platform}", f"did you mean {found}?")
        if not platform.is_unknown:
            warnings.append(f"{platform} is no platform that is known here; what is made gets that name all the same")
    return warnings


def meant(platform: Platform) -> Platform | None:
    """The platform that was probably meant. None where both names are known, and where nothing is near."""
    normal = platforms.normalize(platform)
    system, architecture, variant = normal.os, normal.architecture, normal.variant
    if system not in KNOWN_SYSTEMS:
        system = _nearest(system, KNOWN_SYSTEMS)
    if architecture not in KNOWN_ARCHITECTURES:
        architecture, implied = architecture_of(architecture)
        variant = variant or implied
    if not system or not architecture or (system, architecture) == (normal.os, normal.architecture):
        return None
    return platforms.normalize(Platform(os=system, architecture=architecture, variant=variant))


def architecture_of(word: str) -> tuple[str, str]:
    """The architecture and variant that a wrong name was probably meant to be; empty where nothing is near."""
    arm = re.fullmatch(_ARM, word)
    if arm is not None:
        return "arm", f"v{arm[1]}"
    together = re.fullmatch(_WITH_VARIANT, word)
    if word not in _MEANT and together is not None:
        return together[1], together[2]
    return _MEANT.get(word) or (_nearest(word, KNOWN_ARCHITECTURES), "")


def _nearest(word: str, known: frozenset[str]) -> str:
    # Names of three letters have many neighbours that are another machine.
    limit = 2 if len(word) > 4 else 1
    found = min(sorted(known), key=lambda one: distance(word, one, limit + 1))
    return found if distance(word, found, limit + 1) <= limit else ""
