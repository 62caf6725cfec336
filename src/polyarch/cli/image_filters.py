"""The filters of `images --filter`."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from polyarch.errors import UsageError

if TYPE_CHECKING:
    from polyarch.images.list import ListedImage
    from polyarch.store import Store

_KNOWN = ("reference", "platform", "label", "dangling")
_HINT = "filters: reference=PATTERN, platform=PLATFORM, label=KEY[=VALUE], dangling=true|false"


def filtered(store: "Store", images: "Sequence[ListedImage]", conditions: Iterable[str]) -> "Sequence[ListedImage]":
    """The images that meet all conditions, each KEY=VALUE. Raises UsageError."""
    for condition in conditions:
        key, equals, value = condition.partition("=")
        if not equals or key not in _KNOWN:
            raise UsageError(f"unknown filter {condition!r}", _HINT)
        images = [image for image in images if _matches(store, image, key, value)]
    return images


def _matches(store: "Store", image: "ListedImage", key: str, value: str) -> bool:
    from fnmatch import fnmatchcase

    from polyarch.images import names
    from polyarch.oci import platform as platforms

    if key == "dangling":
        return (value.lower() in ("true", "1")) == (not image.name)
    if key == "platform":
        wanted = str(platforms.parse(value))
        return any(entry.platform == wanted for entry in image.platforms)
    if key == "label":
        return has_label(store, image, value)
    short = names.familiar(image.name)
    repository = short.rpartition(":")[0] if ":" in short.rpartition("/")[2] else short
    return any(fnmatchcase(candidate, value) for candidate in (short, repository, image.name))


def has_label(store: "Store", image: "ListedImage", wanted: str) -> bool:
    """Whether a platform of the image has the label KEY, or KEY=VALUE."""
    from polyarch.images.list import read_small

    key, equals, value = wanted.partition("=")
    for entry in image.platforms:
        config = read_small(store, entry.config) if entry.present and not entry.attestation else None
        labels = ((config or {}).get("config") or {}).get("Labels") or {}
        if key in labels and (not equals or labels[key] == value):
            return True
    return False
