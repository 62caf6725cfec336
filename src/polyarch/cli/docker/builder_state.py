"""The builders that `buildx create` named, and docker's contexts. They are names only: Polyarch itself builds.

They are kept where buildx keeps its own, so that BUILDX_CONFIG and DOCKER_CONFIG move them too.
"""

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from polyarch.errors import CorruptError, UsageError

DEFAULT = "default"
DRIVER = "docker-container"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")


class NamedNode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A node as `buildx create` was told about it. `options` are KEY=VALUE, `flags` those of buildkitd."""

    name: str
    endpoint: str = ""
    platforms: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    flags: str = ""


class NamedBuilder(msgspec.Struct, frozen=True, kw_only=True):
    """A builder that has been named. `used` is Unix time."""

    name: str
    driver: str = DRIVER
    nodes: tuple[NamedNode, ...]
    used: float = 0.0


class BuilderState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All builders and contexts by name, and the current ones. A context is its endpoint."""

    builders: Mapping[str, NamedBuilder] = {}
    current: str = DEFAULT
    contexts: Mapping[str, str] = {}
    context: str = DEFAULT

    def builder(self, name: str) -> NamedBuilder | None:
        """The builder of this name, in any case. Each context is one; the default one always exists."""
        for known in self.builders.values():
            if known.name.lower() == name.lower():
                return known
        return _of_context(name) if name == DEFAULT or name in self.contexts else None

    def all(self) -> list[NamedBuilder]:
        """All builders, and last those of the contexts."""
        others = sorted({DEFAULT, *self.contexts} - set(self.builders))
        return [*self.builders.values(), *map(_of_context, others)]


def made(name: str, driver: str = DRIVER) -> NamedBuilder:
    """A new builder with one node, whose name is in lower case as in buildx (store/util.go)."""
    return NamedBuilder(name=name, driver=driver, nodes=(NamedNode(name=f"{name.lower()}0"),))


def _of_context(name: str) -> NamedBuilder:
    """The builder that buildx has for a context (store/storeutil/storeutil.go): its node has the same name."""
    return NamedBuilder(name=name, nodes=(NamedNode(name=name),))


def checked(name: str) -> str:
    """A name for a builder. Raises UsageError, as buildx does."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"invalid instance name {name!r}: a name starts with a letter and may not contain symbols, except ._-"
        )
    return name


def path(variables: Mapping[str, str]) -> Path:
    """The file of the state."""
    home = variables.get("HOME") or "/root"
    config = variables.get("DOCKER_CONFIG") or f"{home}/.docker"
    return Path(variables.get("BUILDX_CONFIG") or f"{config}/buildx") / "polyarch.json"


def read(variables: Mapping[str, str]) -> BuilderState:
    """The state; an empty one if nothing has been named. Raises CorruptError."""
    file = path(variables)
    try:
        return msgspec.json.decode(file.read_bytes(), type=BuilderState)
    except (FileNotFoundError, NotADirectoryError):
        return BuilderState()
    except (msgspec.DecodeError, ValueError) as error:
        raise CorruptError(f"{file} is not a list of builders: {error}", "remove it: it holds names only") from error


def current(variables: Mapping[str, str]) -> str:
    """The builder that is used if none is named: that of `buildx use`, else that of the current context."""
    state = read(variables)
    return state.current if state.current != DEFAULT else current_context(variables, state)


def current_context(variables: Mapping[str, str], state: BuilderState) -> str:
    """The context of this command: with DOCKER_HOST the default one, as in docker (cli/command/cli.go)."""
    return DEFAULT if variables.get("DOCKER_HOST") else variables.get("DOCKER_CONTEXT") or state.context


def write(variables: Mapping[str, str], state: BuilderState) -> None:
    """Replace the state, whole or not at all."""
    file = path(variables)
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=".polyarch-")
    try:
        with open(descriptor, "wb") as stream:
            stream.write(msgspec.json.format(msgspec.json.encode(state), indent=2))
        os.replace(temporary, file)
    except BaseException:
        os.unlink(temporary)
        raise
