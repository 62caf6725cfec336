"""Named build contexts: which one stands for a name of a FROM, a `--from`, a mount or a stage."""

from collections.abc import Iterable

from polyarch.errors import UsageError
from polyarch.oci import reference as references
from polyarch.oci.platform import Platform

# What stays itself, whatever contexts there are.
_OWN = frozenset({"scratch", "context"})


class Contexts:
    """The names of the contexts that were given, as they are looked up: `alpine:latest` is `alpine`."""

    def __init__(self, names: Iterable[str]) -> None:
        self._keys = {_normal(name): name for name in names}

    def find(self, name: str, platform: Platform) -> str | None:
        """The context for `name`, as it was given: one for the platform first, as BuildKit looks them up."""
        if name.lower() in _OWN:
            return None
        plain = familiar(name)
        return self._keys.get(f"{plain}::{platform}") or self._keys.get(plain)


def familiar(name: str) -> str:
    """The short form of an image's name; a name that is none of an image stays as it is."""
    try:
        return references.parse(name).familiar().removesuffix(":latest")
    except UsageError:
        return name


def _normal(name: str) -> str:
    plain, colons, platform = name.partition("::")
    return familiar(plain) + colons + platform
