"""Named build contexts: which one replaces the name of a FROM, a `--from`, a mount or a stage."""

from collections.abc import Iterable

import msgspec

from polyarch.errors import UsageError
from polyarch.oci import reference as references
from polyarch.oci.platform import Platform

# Names that no context replaces.
_OWN = frozenset({"scratch", "context"})


class ContextName(msgspec.Struct, frozen=True):
    """The name of a build context for all platforms, or for one. As text it is BuildKit's `name::platform`."""

    name: str
    platform: Platform | None = None

    def __str__(self) -> str:
        return self.name if self.platform is None else f"{self.name}::{self.platform}"


class Contexts:
    """Finds build contexts by name. `alpine:latest` and `alpine` are the same name."""

    def __init__(self, names: Iterable[ContextName]) -> None:
        self._names = {(familiar(name.name), name.platform): name for name in names}

    def find(self, name: str, platform: Platform) -> ContextName | None:
        """The context for `name`. As in BuildKit, one for the platform is preferred. None for no context."""
        if name.lower() in _OWN:
            return None
        plain = familiar(name)
        return self._names.get((plain, platform)) or self._names.get((plain, None))


def familiar(name: str) -> str:
    """The short form of an image's name. A text that is not a reference stays as it is."""
    try:
        return references.parse(name).familiar().removesuffix(":latest")
    except UsageError:
        return name
