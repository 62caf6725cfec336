"""What is known of a project, and what is written for it. Values only."""

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

import msgspec

from polyarch.errors import UsageError

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


class Project(msgspec.Struct, frozen=True):
    """A directory as `init` sees it: its name, the paths of its files relative to it, and the texts of some of them."""

    name: str
    paths: frozenset[str]
    texts: Mapping[str, str]

    def first(self, *names: str) -> str:
        """The first of these paths that exists; empty if none does."""
        return next((name for name in names if name in self.paths), "")

    def json(self, name: str) -> dict[str, Any]:
        """A JSON object; empty if the file does not exist. Raises UsageError."""
        try:
            found = json.loads(self.texts.get(name) or "{}")
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{name} is not JSON: {error}") from None
        if not isinstance(found, dict):
            raise UsageError(f"{name} is not a JSON object")
        return found

    def toml(self, name: str) -> dict[str, Any]:
        """A TOML document; empty if the file does not exist. Raises UsageError."""
        try:
            return tomllib.loads(self.texts.get(name, ""))
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise UsageError(f"{name} is not TOML: {error}") from None


class ProjectPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is written for one kind of project.

    `reasons` say what was found, and what follows from it; `notes` what the user should look at. `ignored` are the
    patterns of .dockerignore besides those of every project.
    """

    title: str
    dockerfile: str
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def table(value: object, *names: str) -> dict[str, Any]:
    """The table at these keys of a document; empty if something else, or nothing, is there."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def version(text: object, pattern: str) -> str:
    """The first version in a text, as a pattern with one group finds it; empty if there is none."""
    found = re.search(pattern, text) if isinstance(text, str) else None
    return found[1] if found else ""


def is_word(text: object) -> bool:
    """Whether a text from a file of the project can stand in an instruction as it is, without quotes."""
    return isinstance(text, str) and _WORD.fullmatch(text) is not None


def is_path(path: str) -> bool:
    """Whether a path can stand in an instruction as it is: each of its parts is a word."""
    return all(part == "." or is_word(part) for part in path.split("/"))


def command(*words: str) -> str:
    """A CMD instruction in exec form."""
    return f"CMD {json.dumps(list(words))}"
