"""Options of emulation: which processor the emulator of a platform shows, and which emulator runs a platform."""

import re
from collections.abc import Iterator
from pathlib import Path

from polyarch.buildflags import values
from polyarch.errors import UsageError
from polyarch.oci import platform as platforms
from polyarch.oci.platform import Platform

# qemu's names, and properties after commas: cortex-a53,aarch64=off.
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(,[A-Za-z0-9._+=-]+)*")
_LONGEST = 200


def processors(given: object) -> tuple[tuple[str, str], ...]:
    """The values of --emulated-cpu, `[PLATFORM=]MODEL`, or {platform: model}: pairs of a platform or "", and a model.

    Raises UsageError.
    """
    return tuple(_processors(values.pairs("--emulated-cpu", given)))


def _processors(words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for word in words:
        before, equals, after = word.partition("=")
        # A property has an equals sign, too, after a comma.
        platform, model = (before, after) if before and equals and "," not in before else ("", word)
        if not _MODEL.fullmatch(model) or len(model) > _LONGEST:
            raise UsageError(
                f"--emulated-cpu: {word!r} is not [PLATFORM=]MODEL",
                "as in --emulated-cpu linux/arm64=cortex-a72, or 'default' for all that qemu can emulate",
            )
        yield str(_known(platform)) if platform else "", model


def emulators(given: object, directory: Path, host: Platform) -> tuple[tuple[str, str], ...]:
    """The values of --emulator, `PLATFORM=FILE`, or {platform: file}: pairs of an architecture (GOARCH) and a path.

    A relative path is relative to `directory`. Raises UsageError.
    """
    return tuple(_emulators(values.pairs("--emulator", given), directory, host))


def _emulators(words: tuple[str, ...], directory: Path, host: Platform) -> Iterator[tuple[str, str]]:
    for word in words:
        platform, _, file = word.partition("=")
        if not platform or not file:
            raise UsageError(
                f"--emulator: {word!r} is not PLATFORM=FILE", "as in --emulator linux/arm64=/opt/qemu/qemu-aarch64"
            )
        architecture = _known(platform).architecture
        if architecture == host.architecture:
            raise UsageError(f"--emulator: this machine runs programs for {platform} itself", "omit the option")
        yield architecture, str((directory / file).absolute())


def _known(word: str) -> Platform:
    """The platform that a word names. Raises UsageError for an unknown architecture."""
    platform = platforms.normalize(platforms.parse(word))
    platforms.parse_architecture(platform.architecture)
    return platform
