"""What differs between two images of one Dockerfile, as lines: + is ours alone, - the other builder's alone."""

import json
from collections.abc import Iterator
from typing import Any


def settings(ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[str]:
    """Compares two image configs: the platform and the settings of a container."""
    for key in ("os", "architecture", "variant"):
        if ours.get(key) != theirs.get(key):
            yield f"{key}: + {ours.get(key)} - {theirs.get(key)}"
    shown = [
        [f"{key}: {json.dumps(value, sort_keys=True)}" for key, value in sorted(config.get("config", {}).items())]
        for config in (ours, theirs)
    ]
    yield from lines("config", *shown)


def lines(what: str, ours: list[str], theirs: list[str]) -> Iterator[str]:
    """The lines that one side alone has; whether only their order differs."""
    one, other = set(ours), set(theirs)
    yield from (f"{what}: + {line}" for line in ours if line not in other)
    yield from (f"{what}: - {line}" for line in theirs if line not in one)
    if sorted(ours) == sorted(theirs) and ours != theirs:
        yield f"{what}: another order"
