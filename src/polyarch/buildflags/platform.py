"""Platforms of a build, and values of an option that are for one platform: `OS/ARCH[/VARIANT]:VALUE`."""

import re
from collections.abc import Iterable, Mapping

from polyarch.errors import UsageError
from polyarch.oci import platform as platforms
from polyarch.oci.platform import Platform

# Only known operating systems: keys of labels may contain slashes and colons, too.
_PREFIX = r"(?s)((?:linux|windows|freebsd|darwin)/[A-Za-z0-9_]+(?:/[A-Za-z0-9_.]+)?):(.*)"

# The values of an option by platform; the key None has those for all platforms.
ByPlatform = Mapping[Platform | None, tuple[str, ...]]


def parse(given: Iterable[str | Platform], host: Platform) -> tuple[Platform, ...]:
    """The platforms without duplicates. `linux/amd64,linux/arm64` is two. Raises UsageError."""
    found: list[Platform] = []
    for one in given:
        found += [one] if isinstance(one, Platform) else platforms.parse_list([one], host)
    return tuple(dict.fromkeys(found))


def split(word: str) -> tuple[Platform | None, str]:
    """The platform that a value is for, None for all, and the value."""
    match = re.fullmatch(_PREFIX, word)
    return (None, word) if match is None else (platforms.parse(match[1]), match[2])


def sort(words: Iterable[str]) -> ByPlatform:
    """The values by platform; the key None has those for all platforms."""
    found: dict[Platform | None, tuple[str, ...]] = {None: ()}
    for word in words:
        platform, value = split(word)
        found[platform] = (*found.get(platform, ()), value)
    return found


def expect(named: Mapping[str, Iterable[Platform | None]], wanted: Iterable[Platform]) -> None:
    """Raise UsageError if an option has a value for a platform that is not built."""
    known = tuple(wanted)
    for option, given in named.items():
        for platform in given:
            if platform is not None and platform not in known:
                have = ", ".join(str(one) for one in known)
                raise UsageError(
                    f"{option} {platform}: is for a platform that is not being built", f"this build is for {have}"
                )
