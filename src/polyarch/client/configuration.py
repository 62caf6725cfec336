"""Polyarch's own configuration files, in TOML. Only the first that exists counts."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from polyarch.errors import PolyarchError

_KNOWN = ("cache_limit", "emulators")


def read(files: Iterable[Path]) -> tuple[Path | None, Mapping[str, Any]]:
    """Return the first file that exists, and its settings. Raises PolyarchError if it cannot be read."""
    file = next((file for file in files if file.exists()), None)
    if file is None:
        return None, {}
    import tomllib

    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PolyarchError(f"cannot read {file}: {error}", 'expected TOML, such as: cache_limit = "20GB"') from error
    unknown = sorted(set(settings) - set(_KNOWN))
    if unknown:
        raise PolyarchError(f"unknown setting {unknown[0]!r} in {file}", f"known settings: {', '.join(_KNOWN)}")
    return file, settings


def emulators(files: Iterable[Path]) -> tuple[tuple[str, str], ...]:
    """Return the emulators in the configuration: pairs of an architecture (GOARCH) and an absolute path.

    The table has entries for any machine, so those for this machine's own architecture have no effect. Raises
    PolyarchError for a table of another form, UsageError for an unknown platform.
    """
    file, settings = read(files)
    if not settings:
        return ()
    from polyarch.oci import platform

    table = settings.get("emulators", {})
    hint = 'expected: [emulators] and below it "linux/arm64" = "/opt/qemu/qemu-aarch64"'
    if not isinstance(table, Mapping):
        raise PolyarchError(f"emulators in {file} is not a table", hint)
    found = {}
    for name, path in table.items():
        if not isinstance(path, str) or not path.startswith("/"):
            raise PolyarchError(f"the emulator of {name} in {file} is not an absolute path: {path!r}", hint)
        known = platform.normalize(platform.parse(name)).architecture
        platform.parse_architecture(known)
        found[known] = path
    return tuple(found.items())
