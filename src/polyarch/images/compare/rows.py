"""What two or more images say of one thing, beside each other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from polyarch.oci.config import ImageConfig

Kind = Literal["config", "env", "label", "port", "volume", "package", "file"]
Values = Sequence[Mapping[str, str]]
Rewrite = Callable[[str], str]

_FIELDS = ("Entrypoint", "Cmd", "User", "WorkingDir", "StopSignal", "Shell", "Healthcheck", "OnBuild")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not the same everywhere: in `values` what each image says of it, None where it says nothing."""

    kind: Kind
    name: str
    values: tuple[str | None, ...]

    @property
    def is_missing(self) -> bool:
        """Whether some image lacks it, rather than has it otherwise."""
        return None in self.values


def differing(kind: Kind, columns: Values, same: Sequence[Rewrite] | None = None) -> Iterator[Row]:
    """The names that not all `columns` have with one value, sorted. `same` rewrites a column's values to compare."""
    for name in sorted({name for column in columns for name in column}):
        values = tuple(column.get(name) for column in columns)
        compared = {
            value if value is None or same is None else same[number](value) for number, value in enumerate(values)
        }
        # What is the same as it stands is not made different by rewriting: TOOL=arm64 on both.
        if len(compared) > 1 and len(set(values)) > 1:
            yield Row(kind=kind, name=name, values=values)


def of_configs(configs: Sequence[ImageConfig], same: Sequence[Rewrite] | None = None) -> Iterator[Row]:
    """How the configs run differently. When they were made, and for which platform, is not looked at."""
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


def _keys(value: object, word: str) -> dict[str, str]:
    return {str(key): word for key in value} if isinstance(value, dict) else {}
