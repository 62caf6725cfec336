"""Entries of a target's lists that have attributes of their own: caches, outputs, attestations, secrets, ssh agents and
policies. Each is read from text as on docker's command line, or from an object, and is written as either.

An EntryError has no place in a file: the code that reads the file adds it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from polyarch import csvfields
from polyarch.errors import UsageError

T = TypeVar("T")

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_LOG_LEVELS = frozenset({"panic", "fatal", "error", "warn", "warning", "info", "debug", "trace"})


class EntryError(UsageError):
    """An entry that does not parse."""


class CacheEntry(msgspec.Struct, frozen=True):
    """One `cache-from` or `cache-to`."""

    type: str
    attributes: Mapping[str, str] = {}

    def text(self) -> str:
        """The entry as the value of `--cache-from`."""
        return csvfields.joined([("type", self.type), *csvfields.attributes(self.attributes)])

    def as_object(self) -> dict[str, object]:
        return {**self.attributes, "type": self.type}


class OutputEntry(msgspec.Struct, frozen=True):
    """One `output`. What `--push` adds is written as an image, and only `pushed`, as with `build --push`."""

    type: str
    destination: str = ""
    attributes: Mapping[str, str] = {}
    pushed: bool = False

    def text(self) -> str:
        """The entry as the value of `--output`."""
        if self.pushed:
            return "type=registry"
        dest = [("dest", self.destination)] if self.destination else []
        return csvfields.joined([("type", self.type), *dest, *csvfields.attributes(self.attributes)])

    def as_object(self) -> dict[str, object]:
        dest = {"dest": self.destination} if self.destination else {}
        return {**self.attributes, "type": self.type, **dest}


class AttestEntry(msgspec.Struct, frozen=True):
    """One attestation."""

    type: str
    disabled: bool = False
    attributes: Mapping[str, str] = {}

    def text(self) -> str:
        """The entry as the value of `--attest`."""
        off = [("disabled", "true")] if self.disabled else []
        return csvfields.joined([("type", self.type), *off, *csvfields.attributes(self.attributes)])

    def as_object(self) -> dict[str, object]:
        return {**self.attributes, "type": self.type, **({"disabled": True} if self.disabled else {})}


class SecretEntry(msgspec.Struct, frozen=True):
    """One secret: a file, or an environment variable."""

    id: str = ""
    source: str = ""
    env: str = ""

    def text(self) -> str:
        """The entry as the value of `--secret`."""
        return csvfields.joined([(key, value) for key, value in self.as_object().items() if isinstance(value, str)])

    def as_object(self) -> dict[str, object]:
        given = {"id": self.id, "src": self.source, "env": self.env}
        return {key: value for key, value in given.items() if value}


class SshEntry(msgspec.Struct, frozen=True):
    """One ssh agent, or the keys that stand for it."""

    id: str = ""
    paths: tuple[str, ...] = ()

    def text(self) -> str:
        """The entry as the value of `--ssh`."""
        return f"{self.id}={','.join(self.paths)}" if self.paths else self.id

    def as_object(self) -> dict[str, object]:
        given: dict[str, object] = {"id": self.id, "paths": list(self.paths)}
        return {key: value for key, value in given.items() if value}


class PolicyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One source policy."""

    files: tuple[str, ...] = ()
    reset: bool = False
    disabled: bool = False
    strict: bool | None = None
    log_level: str | None = None

    def as_object(self) -> dict[str, object]:
        """The entry as Go's encoder writes buildx's PolicyConfig, whose fields have no names for JSON."""
        files = [{"Filename": name, "Data": None} for name in self.files] or None
        return {
            "Files": files,
            "Reset": self.reset,
            "Disabled": self.disabled,
            "Strict": self.strict,
            "LogLevel": self.log_level,
        }


def boolean(text: str) -> bool | None:
    """A boolean in the spellings of Go's strconv.ParseBool; None if it is not one."""
    return True if text in _TRUE else False if text in _FALSE else None


def caches(text: str) -> list[CacheEntry]:
    """The entries in a text: `type=…`, or one or more names of images. Raises EntryError."""
    if "=" not in text:
        return [CacheEntry("registry", {"ref": name}) for name in _fields(text)]
    pairs = [_pair(field) for field in _fields(text)]
    return [cache({key.lower(): value for key, value in pairs}, text)]


def cache(given: Mapping[str, str], shown: str = "") -> CacheEntry:
    """The entry with these attributes. Raises EntryError."""
    if not given.get("type"):
        raise EntryError(f"a cache needs a type: {shown or dict(given)}", "as in type=registry,ref=NAME")
    return CacheEntry(given["type"], {key: value for key, value in given.items() if key != "type"})


def output(text: str) -> OutputEntry:
    """The entry in a text: `type=…`, a directory, or `-`. Raises EntryError."""
    found = _fields(text)
    if len(found) == 1 and found[0] == text and not text.startswith("type="):
        return OutputEntry("tar" if text == "-" else "local", text)
    return output_of({key.strip().lower(): value for key, value in map(_pair, found)})


def output_of(given: Mapping[str, str]) -> OutputEntry:
    """The entry with these attributes. Raises EntryError."""
    if not given.get("type"):
        raise EntryError("an output needs a type", "as in type=image,push=true")
    others = {key: value for key, value in given.items() if key not in ("type", "dest")}
    return OutputEntry(given["type"], given.get("dest", ""), others)


def attest(text: str) -> AttestEntry:
    """The entry in a text. Raises EntryError."""
    given: dict[str, str] = {}
    for key, value in map(_pair, _fields(text)):
        name = key.strip().lower()
        given[name if name in ("type", "disabled") else key] = value
    if not given.get("type"):
        raise EntryError(f"the attestation {text!r} has no type", "as in type=provenance,mode=max")
    return attest_of(given)


def attest_of(given: Mapping[str, str]) -> AttestEntry:
    """The entry with these attributes. Raises EntryError."""
    disabled = _flag("disabled", given["disabled"]) if "disabled" in given else False
    others = {key: value for key, value in given.items() if key not in ("type", "disabled")}
    return AttestEntry(given.get("type", ""), disabled, others)


def secret(text: str) -> SecretEntry:
    """The entry in a text. Raises EntryError."""
    given: dict[str, str] = {}
    kind = ""
    for key, value in map(_pair, _fields(text)):
        name = key.lower()
        if name == "type" and value in ("file", "env"):
            kind = value
        elif name in ("id", "env"):
            given[name] = value
        elif name in ("source", "src"):
            given["src"] = value
        else:
            raise EntryError(f"the secret {text!r} has an unknown part: {key}={value}", "as in id=ID,src=FILE")
    if kind == "env" and not given.get("env"):
        given["env"] = given.pop("src", "")
    return SecretEntry(given.get("id", ""), given.get("src", ""), given.get("env", ""))


def ssh(text: str) -> SshEntry:
    """The entry in a text."""
    name, equals, paths = text.partition("=")
    return SshEntry(name, tuple(paths.split(",")) if equals else ())


def policy(text: str) -> PolicyEntry:
    """The entry in a text. Raises EntryError."""
    return policy_of([_pair(field) for field in _fields(text)])


def policy_of(pairs: Sequence[tuple[str, str]]) -> PolicyEntry:
    """The entry with these attributes. Raises EntryError."""
    files: list[str] = []
    given: dict[str, bool] = {}
    level: str | None = None
    for key, value in pairs:
        name = key.strip().lower()
        if name == "filename" and value:
            files.append(value)
        elif name in ("reset", "disabled", "strict"):
            given[name] = _flag(name, value)
        elif name == "log-level" and value.lower() in _LOG_LEVELS:
            level = "warning" if value.lower() == "warn" else value.lower()
        else:
            raise EntryError(f"the policy has an unknown part: {key}={value}", "as in filename=policy.rego,strict=true")
    return PolicyEntry(
        files=tuple(files),
        reset=given.get("reset", False),
        disabled=given.get("disabled", False),
        strict=given.get("strict"),
        log_level=level,
    )


def last_of_each(entries: Sequence[T], key: Callable[[T], object]) -> tuple[T, ...]:
    """The entries without those that a later one with the same key replaces; the later one takes their place."""
    found: dict[object, T] = {}
    for entry in entries:
        found[key(entry)] = entry
    return tuple(found.values())


def without_equal(entries: Sequence[T]) -> tuple[T, ...]:
    """The entries without duplicates, in the order of buildx: of two equal ones the first stays, and the last entry of
    the list takes the place of the other.
    """
    found = list(entries)
    for first in range(len(found) - 2, -1, -1):
        for second in range(first + 1, len(found)):
            if found[first] == found[second]:
                found[second] = found[-1]
                found.pop()
                break
    return tuple(found)


def _fields(text: str) -> list[str]:
    try:
        return csvfields.fields(text)
    except csvfields.CsvError as error:
        raise EntryError(f"{text!r} is not comma-separated: {error}") from None


def _pair(field: str) -> tuple[str, str]:
    key, equals, value = field.partition("=")
    if not equals:
        raise EntryError(f"{field!r} is not KEY=VALUE")
    return key, value


def _flag(name: str, text: str) -> bool:
    value = boolean(text)
    if value is None:
        raise EntryError(f"{name}={text} is neither true nor false")
    return value
