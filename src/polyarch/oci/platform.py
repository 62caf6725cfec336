"""Platforms: parsing, normal form, and which platform serves which, as in containerd's `platforms` package.

`Platform` is also the `platform` object of a descriptor (image-spec, image-index.md), which msgspec reads and writes.
"""

import re
from collections.abc import Callable, Iterable

import msgspec

from polyarch.errors import UsageError

_PART = re.compile(r"[A-Za-z0-9_.-]+")
# The version and features of an OS follow it in parentheses, as containerd's Parse reads them:
# windows(10.0.17763+win32k)/amd64.
_OS = re.compile(r"([A-Za-z0-9_.-]+)(?:\(([^()+]*)((?:\+[^()+]+)*)\))?")

_ARCHITECTURES = {
    "i386": ("386", ""),
    "i686": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv5l": ("arm", "v5"),
    "armv6l": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "armv8l": ("arm", "v8"),
    "loongarch64": ("loong64", ""),
    "powerpc64le": ("ppc64le", ""),
}
KNOWN_ARCHITECTURES = frozenset(
    "386 amd64 amd64p32 arm armbe arm64 arm64be ppc64 ppc64le loong64 mips mipsle mips64 mips64le mips64p32 "
    "mips64p32le ppc riscv riscv64 s390 s390x sparc sparc64 wasm wasm32 wasm64".split()
)
KNOWN_SYSTEMS = frozenset(
    "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris wasi wasip1 "
    "windows zos".split()
)


class Platform(msgspec.Struct, frozen=True, omit_defaults=True):
    """A platform that an image runs on. Empty strings are absent fields; `parse` returns the normal form.

    The text form is containerd's: linux/arm/v7, windows(10.0.17763.1)/amd64. `parse` reads it.
    """

    architecture: str
    os: str
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: tuple[str, ...] = msgspec.field(default=(), name="os.features")
    variant: str = ""

    def __str__(self) -> str:
        system = self.os
        if self.os_version or self.os_features:
            system += f"({'+'.join((self.os_version, *self.os_features))})"
        return "/".join(part for part in (system, self.architecture, self.variant) if part)

    @property
    def is_unknown(self) -> bool:
        """Whether this is `unknown/unknown`, which BuildKit gives the entry of an attestation."""
        return self.os == "unknown" and self.architecture == "unknown"

    @property
    def is_known(self) -> bool:
        """Whether Go knows both names, so that `os/arch` is probably not misspelt."""
        return self.os in KNOWN_SYSTEMS and self.architecture in KNOWN_ARCHITECTURES


Matcher = Callable[[Platform], bool]


def normalize(platform: Platform) -> Platform:
    """Return the normal form of a platform: aarch64 and arm64/v8 are arm64, arm is arm/v7, amd64/v1 is amd64."""
    architecture = platform.architecture.lower()
    variant = platform.variant.lower()
    if architecture in _ARCHITECTURES:
        architecture, implied = _ARCHITECTURES[architecture]
        variant = variant or implied
    if architecture == "arm64" and variant in ("8", "v8", "v8.0", "8.0"):
        variant = ""
    elif architecture == "arm":
        variant = {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"}.get(variant, variant)
    elif architecture == "amd64" and variant in ("v1", "1"):
        variant = ""
    system = {"macos": "darwin"}.get(platform.os.lower(), platform.os.lower())
    return Platform(
        os=system,
        architecture=architecture,
        variant=variant,
        os_version=platform.os_version,
        os_features=platform.os_features,
    )


def parse_architecture(word: str) -> tuple[str, str]:
    """Return the architecture that a word names and the variant that it implies: armhf is arm and v7.

    Raises UsageError, with a suggestion, for an unknown word.
    """
    name = word.strip().lower()
    if name in _ARCHITECTURES:
        return _ARCHITECTURES[name]
    if name in KNOWN_ARCHITECTURES:
        return name, ""
    raise _unknown(word, "architecture", [*KNOWN_ARCHITECTURES, *_ARCHITECTURES])


def parse_system(word: str) -> str:
    """Return the operating system that a word names. Raises UsageError, with a suggestion, for an unknown word."""
    name = word.strip().lower()
    if name in KNOWN_SYSTEMS:
        return name
    raise _unknown(word, "operating system", KNOWN_SYSTEMS)


def _unknown(word: str, what: str, known: Iterable[str]) -> UsageError:
    from difflib import get_close_matches

    close = get_close_matches(word.strip().lower(), sorted(known), n=3)
    if close:
        return UsageError(f"unknown {what} {word!r}", f"did you mean {' or '.join(close)}?")
    return UsageError(f"unknown {what} {word!r}", "use Go's names, for example linux, windows, amd64, arm64, arm")


def parse(text: str, host: Platform | None = None) -> Platform:
    """Return the normalized platform of `os/arch[/variant]`, an architecture alone or an OS alone.

    An architecture alone means linux; an OS alone means that OS on `host`'s architecture; `local` means `host`. Raises
    UsageError for anything else.
    """
    hint = "expected os/architecture or os/architecture/variant, as in linux/arm64 or linux/arm/v7"
    parts = text.strip().split("/")
    if host is not None and parts == ["local"]:
        return host
    match = _OS.fullmatch(parts[0])
    if match is None or len(parts) > 3 or not all(_PART.fullmatch(part) for part in parts[1:]):
        raise UsageError(f"{text!r} is not a platform", hint)
    system, version, features = match[1], match[2] or "", tuple(filter(None, (match[3] or "").split("+")))
    if len(parts) == 1:
        word = system.lower()
        if word in KNOWN_ARCHITECTURES or word in _ARCHITECTURES:
            return normalize(Platform(os="linux", architecture=word))
        if (word in KNOWN_SYSTEMS or word == "macos") and host is not None:
            return normalize(
                Platform(
                    os=word,
                    architecture=host.architecture,
                    variant=host.variant,
                    os_version=version,
                    os_features=features,
                )
            )
        raise UsageError(
            f"{text!r} is neither a known architecture nor a known operating system", _meant_hint(word) or hint
        )
    return normalize(
        Platform(
            os=system,
            architecture=parts[1],
            variant=parts[2] if len(parts) == 3 else "",
            os_version=version,
            os_features=features,
        )
    )


def _meant_hint(word: str) -> str:
    from polyarch.oci.spelling import architecture_of

    architecture, variant = architecture_of(word, KNOWN_ARCHITECTURES)
    suggestion = "/".join(part for part in ("linux", architecture, variant) if part)
    return f"did you mean {suggestion}?" if architecture else ""


def doubts(wanted: Iterable[Platform]) -> list[str]:
    """Return warnings about the platforms of a new image. Raises UsageError for a platform that is probably misspelt.

    `parse` accepts any names, because images of any platform can be moved.
    """
    warnings: list[str] = []
    for platform in wanted:
        if platform.is_known:
            continue
        suggestion = meant(platform)
        if suggestion is not None:
            raise UsageError(f"unknown platform {platform}", f"did you mean {suggestion}?")
        if not platform.is_unknown:
            warnings.append(f"{platform} is not a known platform; the result is labelled with it anyway")
    return warnings


def meant(platform: Platform) -> Platform | None:
    """Return the platform that was probably meant, or None if both names are known or no known name is similar."""
    from polyarch.oci.spelling import architecture_of, nearest

    normal = normalize(platform)
    system, architecture, variant = normal.os, normal.architecture, normal.variant
    if system not in KNOWN_SYSTEMS:
        system = nearest(system, KNOWN_SYSTEMS)
    if architecture not in KNOWN_ARCHITECTURES:
        architecture, implied = architecture_of(architecture, KNOWN_ARCHITECTURES)
        variant = variant or implied
    if not system or not architecture or (system, architecture) == (normal.os, normal.architecture):
        return None
    return normalize(Platform(os=system, architecture=architecture, variant=variant))


def parse_list(texts: Iterable[str], host: Platform | None = None) -> tuple[Platform, ...]:
    """Return the platforms of comma-separated, repeatable option values, in order and without duplicates."""
    platforms = (parse(part, host) for text in texts for part in text.split(",") if part.strip())
    return tuple(dict.fromkeys(platforms))


def of_machine(machine: str) -> Platform:
    """Return the platform of a Linux machine whose `uname -m` prints `machine`."""
    return normalize(Platform(os="linux", architecture=machine))


def candidates(wanted: Platform) -> tuple[Platform, ...]:
    """Return the platforms whose images a machine of `wanted` runs, best first.

    This is containerd's `platforms.Only` with one exception: an arm64 machine is not offered 32-bit arm, because an
    image labelled arm64 that holds 32-bit binaries is the mistake that this project exists to prevent.
    """
    platform = normalize(wanted)

    def variants(*names: str) -> tuple[Platform, ...]:
        return tuple(
            normalize(
                Platform(
                    os=platform.os,
                    architecture=platform.architecture,
                    variant=name,
                    os_version=platform.os_version,
                    os_features=platform.os_features,
                )
            )
            for name in names
        )

    number = platform.variant.removeprefix("v")
    if platform.architecture == "arm" and number.isdigit():
        return variants(*(f"v{n}" for n in range(int(number), 4, -1))) or (platform,)
    if platform.architecture == "amd64" and (number.isdigit() or not number):
        return variants(*(f"v{n}" for n in range(int(number or 1), 0, -1)))
    if platform.architecture == "arm64" and number:
        major, _, minor = number.partition(".")
        if major in ("8", "9") and (minor.isdigit() or not minor):
            # Armv9.n includes Armv8.(n+5).
            steps = [f"v9.{n}" if n else "v9" for n in range(int(minor or 0), -1, -1)] if major == "9" else []
            top = int(minor or 0) + 5 if major == "9" else int(minor or 0)
            steps += [f"v8.{n}" if n else "" for n in range(top, -1, -1)]
            return variants(*steps)
    return (platform,)


def variant_order(platform: Platform) -> tuple[int, ...]:
    """Return a sort key for the variants of one architecture, baseline first: none, v2, v3; v5, v6, v7; v8.1, v9.

    Variants without a number are equal, and follow none.
    """
    variant = normalize(platform).variant
    return tuple(map(int, re.findall(r"[0-9]+", variant))) or ((0,) if variant else ())


def serves(offered: Platform, wanted: Platform) -> bool:
    """Return whether an image for `offered` runs on a machine of `wanted`."""
    return rank(offered, wanted) is not None


def rank(offered: Platform, wanted: Platform) -> int | None:
    """Return how well an image for `offered` serves `wanted`: 0 is best, None means not at all."""
    normal = normalize(offered)
    for position, candidate in enumerate(candidates(wanted)):
        if (normal.os, normal.architecture, normal.variant) == (
            candidate.os,
            candidate.architecture,
            candidate.variant,
        ) and (not candidate.os_version or is_version_of(normal.os_version, candidate.os_version)):
            return position
    return None


def is_version_of(version: str, wanted: str) -> bool:
    """Return whether an operating system's version is `wanted` or a revision of it.

    10.0.17763.1 is a revision of 10.0.17763.
    """
    return version == wanted or version.startswith(f"{wanted}.")


def same(first: Platform, second: Platform) -> bool:
    """Return whether both spellings name the same platform."""
    return normalize(first) == normalize(second)
