"""Differences between two or more images as rows of values."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from polyarch.oci.config import ImageConfig

Kind = Literal["config", "env", "label", "port", "volume", "package", "file"]
Values = Sequence[Mapping[str, str]]
Rewrite = Callable[[str], str]

_FIELDS = ("Entrypoint", "Cmd", "User", "WorkingDir", "StopSignal", "Shell", "Healthcheck", "OnBuild")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One difference: `values` has the value in each image, None if the image has none."""

    kind: Kind
    name: str
    values: tuple[str | None, ...]

    @property
    def is_missing(self) -> bool:
        """Whether an image has no value, rather than a different one."""
        return None in self.values


def differing(kind: Kind, columns: Values, same: Sequence[Rewrite] | None = None) -> Iterator[Row]:
    """The names whose values differ between `columns`, sorted. `same` rewrites a column's values for the comparison."""
    for name in sorted({name for column in columns for name in column}):
        values = tuple(column.get(name) for column in columns)
        compared = {
            value if value is None or same is None else same[number](value) for number, value in enumerate(values)
        }
        # Equal values stay equal, even if rewriting makes them differ: TOOL=arm64 in both.
        if len(compared) > 1 and len(set(values)) > 1:
            yield Row(kind=kind, name=name, values=values)


def of_configs(configs: Sequence[ImageConfig], same: Sequence[Rewrite] | None = None) -> Iterator[Row]:
    """The differences in how the configs run. Their creation time and platform are ignored."""
    yield from differing("config", [_fields(config.run) for config in configs], same)
    yield from differing("env", [config.env for config in configs], same)
    yield from differing(
        "label", [{key: str(value) for key, value in config.labels.items()} for config in configs], same
    )
    yield from differing("port", [_keys(config.run.get("ExposedPorts"), "exposed") for config in configs])
    yield from differing("volume", [_keys(config.run.get("Volumes"), "a volume") for config in configs])


def _fields(run: Mapping[str, Any]) -> dict[str, str]:
    return {name: _shown(run[name]) for name in _FIELDS if run.get(name)}


def _shown(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _keys(value: object, label: str) -> dict[str, str]:
    return {str(key): label for key in value} if isinstance(value, dict) else {}
