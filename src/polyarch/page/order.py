"""The order of tags: `latest`, then versions from high to low, then all other tags by name."""

import re
from collections.abc import Iterable
from functools import lru_cache

from polyarch.oci import referrer

_VERSION = re.compile(r"v?\d+(?![0-9a-f]*[a-f][0-9a-f]*$)")
_PARTS = re.compile(r"\d+|[^\d]+")
_BEFORE = re.compile(r"[-._]?(?:alpha|beta|dev|nightly|pre|rc|snapshot|a|b)[-._]?", re.IGNORECASE)
# cosign's tags for signatures, attestations and SBOMs of a digest.
_COSIGN = re.compile(r"sha256-[0-9a-f]{64}(?:\.[a-z]+)?")


def ordered(tags: Iterable[str]) -> list[str]:
    """The tags in this order."""
    latest: list[str] = []
    versions: list[str] = []
    others: list[str] = []
    for tag in tags:
        (latest if tag == "latest" else versions if _VERSION.match(tag) else others).append(tag)
    return [*latest, *sorted(versions, key=_version, reverse=True), *sorted(others)]


def is_carrier(tag: str) -> bool:
    """Whether a tag is only there because a registry or tool could not attach something to an image otherwise."""
    return _COSIGN.fullmatch(tag) is not None or referrer.is_tag(tag)


# A repository may have 10,000 tags, and each page of its list sorts them.
@lru_cache(maxsize=1 << 15)
def _version(tag: str) -> tuple[tuple[int, int, str], ...]:
    """The key of a version: numbers by value, and 1.0-rc1 before 1.0 before 1.0-alpine."""
    key: list[tuple[int, int, str]] = []
    for part in _PARTS.findall(tag.removeprefix("v")):
        if part.isascii() and part.isdecimal():
            key.append((3, int(part), ""))
        else:
            key.append((0 if _BEFORE.fullmatch(part) else 2, 0, part))
    return (*key, (1, 0, ""))
