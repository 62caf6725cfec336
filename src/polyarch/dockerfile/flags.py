"""The `--name=value` words behind a keyword (frontend/dockerfile/instructions/bflag.go)."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from polyarch.dockerfile import suggest
from polyarch.dockerfile.source import DockerfileError

Kind = Literal["text", "list", "bool"]


class Flags(msgspec.Struct, frozen=True):
    """What was given: values by name, in order."""

    given: dict[str, tuple[str, ...]]

    def text(self, name: str) -> str:
        return self.given.get(name, ("",))[0]

    def list(self, name: str) -> tuple[str, ...]:
        return self.given.get(name, ())

    def bool(self, name: str) -> bool | None:
        """True or False as said, None where nothing was said."""
        values = self.given.get(name)
        return None if values is None else values[0] == "true"


def parse(words: tuple[str, ...], known: Mapping[str, Kind]) -> Flags:
    """The flags in `words`. Raises DockerfileError for one that is unknown, repeated or wrong."""
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
    """Raises DockerfileError where an instruction that has no flags is given one."""
    parse(words, {})
