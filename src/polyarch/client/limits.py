"""The size limit of the cache: from a flag, the environment or a configuration file, in this order."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from polyarch.buildflags import size
from polyarch.client import configuration
from polyarch.errors import UsageError
from polyarch.store.growth import disk_size

_HINT = "expected a size such as 20GB, a share of the disk such as 10%, or 'none'"


def cache_limit(flag: str | None, variable: str, files: Iterable[Path], root: Path) -> int | Literal["default"] | None:
    """The limit in bytes, None for no limit, "default" if none is set.

    Raises UsageError for an invalid limit, PolyarchError for a file that cannot be read.
    """
    if flag:
        return _parsed(flag, "--cache-limit", root)
    if variable:
        return _parsed(variable, "POLYARCH_CACHE_LIMIT", root)
    file, settings = configuration.read(files)
    word = settings.get("cache_limit")
    return "default" if word is None else _parsed(str(word), f"cache_limit in {file}", root)


def _parsed(word: str, where: str, root: Path) -> int | None:
    word = word.strip()
    if word.lower() == "none":
        return None
    try:
        if word.endswith("%"):
            limit = int(disk_size(str(root)) * float(word[:-1]) / 100)
        else:
            limit = size.bytes_of(word)
    except (UsageError, ValueError, OverflowError):
        raise UsageError(f"invalid {where}: {word!r}", _HINT) from None
    if limit <= 0:
        # To BuildKit 0 means no limit; users of other tools would expect an empty cache.
        raise UsageError(f"invalid {where}: {word!r}", f"{_HINT}; 'polyarch system prune --all' empties the cache")
    return limit
