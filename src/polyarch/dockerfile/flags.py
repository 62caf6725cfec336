"""The `--name=value` words after a keyword (frontend/dockerfile/instructions/bflag.go)."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from polyarch.dockerfile import suggest
from polyarch.dockerfile.source import DockerfileError

Kind = Literal["text", "list", "bool"]


class Flags(msgspec.Struct, frozen=True):
    """The flags of one instruction: values by name, in order."""

    given: dict[str, tuple[str, ...]]

    def text(self, name: str) -> str:
        """Return the first value of a flag, or an empty string."""
        return self.given.get(name, ("",))[0]

    def list(self, name: str) -> tuple[str, ...]:
        """Return all values of a flag."""
        return self.given.get(name, ())

    def bool(self, name: str) -> bool | None:
        """Return the value of a boolean flag, or None if it is absent."""
        values = self.given.get(name)
        return None if values is None else values[0] == "true"


def parse(words: tuple[str, ...], known: Mapping[str, Kind]) -> Flags:
    """Return the flags in `words`. Raises DockerfileError if one is unknown, repeated or invalid."""
    given: dict[str, tuple[str, ...]] = {}
    for word in words:
        name, equals, value = word[2:].partition("=")
        kind = known.get(name)
        if kind is None:
            raise suggest.unknown(f"unknown flag: --{name}", name, known)
        if name in given and kind != "list":
            raise DockerfileError(f"duplicate flag specified: --{name}")
        if kind == "bool":
            if equals and not value:
                raise DockerfileError(f"missing a value on flag: --{name}")
            value = value.lower() or "true"
            if value not in ("true", "false"):
                raise DockerfileError(f"expecting boolean value for flag --{name}, not: {word.partition('=')[2]}")
        elif not equals:
            raise DockerfileError(f"missing a value on flag: --{name}")
        given[name] = (*given.get(name, ()), value)
    return Flags(given)


def none(words: tuple[str, ...]) -> None:
    """Raise DockerfileError if `words`, the flags of an instruction that accepts none, is not empty."""
    parse(words, {})
