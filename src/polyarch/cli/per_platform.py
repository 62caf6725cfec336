"""`OS/ARCH[/VARIANT]:VALUE`: a value of an option that is for one platform alone."""

import re
from collections.abc import Iterable, Mapping

from polyarch.errors import UsageError
from polyarch.oci import platform as platforms
from polyarch.oci.platform import Platform

# A system that there is: labels may have slashes and colons in their keys, too.
_PREFIX = r"(?s)((?:linux|windows|freebsd|darwin)/[A-Za-z0-9_]+(?:/[A-Za-z0-9_.]+)?):(.*)"


def split(word: str) -> tuple[Platform | None, str]:
    """The platform that a value is for, None for all, and the value."""
    match = re.fullmatch(_PREFIX, word)
    return (None, word) if match is None else (platforms.parse(match[1]), match[2])


def sort(words: Iterable[str]) -> dict[Platform | None, tuple[str, ...]]:
    """The values by platform; under None those for all."""
    found: dict[Platform | None, tuple[str, ...]] = {None: ()}
    for word in words:
        platform, value = split(word)
        found[platform] = (*found.get(platform, ()), value)
    return found


def expect(named: Mapping[str, Iterable[Platform | None]], wanted: Iterable[Platform]) -> None:
    """Raise UsageError where an option names a platform that is not built."""
    known = tuple(wanted)
    for option, given in named.items():
        for platform in given:
            if platform is not None and platform not in known:
                have = ", ".join(str(one) for one in known)
                raise UsageError(
                    f"{option} {platform}: is for a platform that is not being built", f"this build is for {have}"
                )
