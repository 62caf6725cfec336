"""Whether the program of an image is ready: it answers the HEALTHCHECK of the image, and listens on its port."""

from collections.abc import Mapping
from typing import Any

import msgspec

# The defaults of docker, in seconds.
_TIMEOUT = 30.0


class HealthCheck(msgspec.Struct, frozen=True):
    """The HEALTHCHECK of an image: a command inside, and how long one call of it may take, in seconds."""

    argv: tuple[str, ...]
    timeout: float


def health_check(run: Mapping[str, Any]) -> HealthCheck | None:
    """The HEALTHCHECK in the `config` of an image; None if it has none, or one that says NONE."""
    check = run.get("Healthcheck") or {}
    kind, *words = check.get("Test") or ["NONE"]
    if kind == "CMD-SHELL":
        argv = (*(run.get("Shell") or ("/bin/sh", "-c")), *words[:1])
    elif kind == "CMD":
        argv = tuple(words)
    else:
        return None
    nanoseconds = check.get("Timeout") or 0
    return HealthCheck(argv, nanoseconds / 1e9 if nanoseconds else _TIMEOUT) if words else None
