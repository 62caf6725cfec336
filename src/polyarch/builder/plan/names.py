"""Named build contexts: which one stands for a name of a FROM, a `--from`, a mount or a stage."""

from collections.abc import Iterable

import msgspec

from polyarch.errors import UsageError
from polyarch.oci import reference as references
from polyarch.oci.platform import Platform

# What stays itself, whatever contexts there are.
_OWN = frozenset({"scratch", "context"})


class ContextName(msgspec.Struct, frozen=True):
    """The name of a build context for all platforms, or for one. As text it is BuildKit's `name::platform`."""

    name: str
    platform: Platform | None = None

    def __str__(self) -> str:
        return self.name if self.platform is None else f"{self.name}::{self.platform}"


class Contexts:
    """The names of the contexts that were given, as they are looked up: `alpine:latest` is `alpine`."""

    def __init__(self, names: Iterable[ContextName]) -> None:
        self._names = {(familiar(name.name), name.platform): name for name in names}

    def find(self, name: str, platform: Platform) -> ContextName | None:
        """The context for `name`, as it was given: one for the platform first, as BuildKit looks them up."""
        if name.lower() in _OWN:
            return None
        plain = familiar(name)
        return self._names.get((plain, platform)) or self._names.get((plain, None))


def familiar(name: str) -> str:
    """The short form of an image's name; a name that is none of an image stays as it is."""
    try:
        return references.parse(name).familiar().removesuffix(":latest")
    except UsageError:
        return name
