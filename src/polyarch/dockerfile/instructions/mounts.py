"""`RUN --mount`: all options of all kinds (frontend/dockerfile/instructions/commands_runmount.go)."""

import posixpath
import re
from typing import Literal, cast

import msgspec

from polyarch import csvfields
from polyarch.dockerfile import suggest
from polyarch.dockerfile.instructions.expander import Expander
from polyarch.dockerfile.source import DockerfileError
from polyarch.dockerfile.words import quoted

_KINDS = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING = ("shared", "private", "locked")
_NAMES = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "rw": "readwrite",
}
_KEYS = (
    *("type", "from", "source", "target", "readonly", "readwrite", "id", "sharing", "sharing-platforms"),
    *("required", "mode", "uid", "gid", "size", "env", *_NAMES),
)
# strconv.ParseBool
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
_SIZE = r"(\d+(?:\.\d*)?|\.\d+) ?(?:([kKmMgGtTpPeE])[iI]?)?[bB]?"


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """An expanded `--mount`. Absent options are empty strings or None.

    `target` is as written: a relative one is relative to WORKDIR. Without an `id`, a cache's is its cleaned target, an
    ssh mount's is `default`, and a secret's is the last part of its target.
    """

    kind: Literal["bind", "cache", "tmpfs", "secret", "ssh"] = "bind"
    target: str = ""
    source: str = ""
    from_: str = ""
    read_only: bool = False
    id: str = ""
    sharing: Literal["shared", "private", "locked"] = "shared"
    sharing_platforms: bool = False
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int = 0
    required: bool = False
    env: str | None = None


class _MountState:
    """A mount whose options are being read, in order, as in BuildKit."""

    def __init__(self) -> None:
        self.fields: dict[str, object] = {}
        self.kind = "bind"
        self.read_only: bool | None = None

    def text(self, key: str) -> str:
        return cast(str, self.fields.get(key, ""))


def parse(flag: str, words: Expander) -> Mount:
    """Return the mount of a `--mount` value, its variables expanded. Raises DockerfileError."""
    state = _MountState()
    for field in _fields(flag):
        key, equals, value = field.partition("=")
        key = key.lower()
        name = _NAMES.get(key, key)
        if not equals:
            if name not in ("readonly", "readwrite", "required", "sharing-platforms"):
                raise DockerfileError(f"invalid field '{field}' must be a key=value pair")
            value = "true"
        _take(state, name, key, words.word(value), field)
    return _finished(state)


def source_of(flag: str) -> str:
    """Return the `from=` of a mount as written, or an empty string. Raises DockerfileError for a variable in it."""
    source = ""
    for field in _fields(flag):
        key, equals, value = field.partition("=")
        if equals and key.lower() == "from":
            if re.search(r"\$.", value):
                raise DockerfileError(
                    "'from' doesn't support variable expansion, define alias stage instead",
                    "FROM image-with-$variable AS name, then from=name",
                )
            source = value
    return source


def _fields(flag: str) -> list[str]:
    """Return the comma-separated fields."""
    if not flag:
        raise DockerfileError("failed to parse csv mounts: EOF")
    try:
        return csvfields.fields(flag)
    except csvfields.CsvError as error:
        raise DockerfileError(f"failed to parse csv mounts: {error}: {flag}") from None


def _take(state: _MountState, name: str, key: str, value: str, field: str) -> None:
    match name:
        case "type":
            if value.lower() not in _KINDS:
                raise suggest.unknown(f"unsupported mount type {quoted(value)}", value, _KINDS)
            state.kind = value.lower()
        case "from" | "source" | "target" | "id" | "env":
            state.fields["from_" if name == "from" else name] = value
        case "readonly" | "readwrite":
            state.read_only = _boolean(key, value) == (name == "readonly")
        case "required":
            _only(state, key, "secret", "ssh")
            state.fields["required"] = _boolean(key, value)
        case "size":
            _only(state, key, "tmpfs")
            state.fields["size"] = _bytes(key, value)
        case "sharing":
            if value.lower() not in _SHARING:
                raise suggest.unknown(f"unsupported sharing value {quoted(value)}", value, _SHARING)
            state.fields["sharing"] = value.lower()
        case "sharing-platforms":
            _only(state, key, "cache")
            state.fields["sharing_platforms"] = _boolean(key, value)
        case "mode" | "uid" | "gid":
            state.fields[name] = _number(name, value, 8 if name == "mode" else 10)
        case _:
            raise suggest.unknown(f"unexpected key '{key}' in '{field}'", key, _KEYS)


def _only(state: _MountState, key: str, *kinds: str) -> None:
    if state.kind not in kinds:
        raise DockerfileError(
            f"unexpected key '{key}' for mount type '{state.kind}'",
            f"type={' or type='.join(kinds)} has this key, and must precede it",
        )


def _boolean(key: str, value: str) -> bool:
    boolean = _BOOLEANS.get(value)
    if boolean is None:
        raise DockerfileError(f"invalid value for {key}: {value}")
    return boolean


def _number(name: str, value: str, base: int) -> int:
    digits = "[0-7]+" if base == 8 else "[0-9]+"
    if not re.fullmatch(digits, value, re.ASCII) or len(value.lstrip("0")) > 11 or int(value, base) >> 32:
        raise DockerfileError(f"invalid value {value} for {name}")
    return int(value, base)


def _bytes(key: str, value: str) -> int:
    """Return a number of bytes in docker's notation for sizes: 64m is 64 MiB."""
    match = re.fullmatch(_SIZE, value.strip())
    if match is None or len(value) > 30:
        raise DockerfileError(f"invalid value for {key}: {value}")
    exponent = " kmgtpe".index((match[2] or " ").lower())
    return int(float(match[1]) * 1024**exponent)


def _finished(state: _MountState) -> Mount:
    kind, fields = state.kind, state.fields
    if kind not in ("secret", "ssh", "cache"):
        for name in ("mode", "uid", "gid"):
            if name in fields:
                raise DockerfileError(f"{name} not allowed for {quoted(kind)} type mounts")
    if kind == "secret":
        if state.text("from_"):
            raise DockerfileError("secret mount should not have a from")
        if "sharing" in fields:
            raise DockerfileError("secret mount should not define sharing")
        if not (state.text("source") or state.text("target") or state.text("id")):
            raise DockerfileError("invalid secret mount. one of source, target required")
        if state.text("source") and state.text("id"):
            raise DockerfileError("both source and id can't be set")
    if "sharing" in fields and kind != "cache":
        raise DockerfileError(f"invalid cache sharing set for {kind} mount")
    if "env" in fields and kind != "secret":
        raise DockerfileError(f"unexpected key 'env' for mount type '{kind}'")
    if kind == "cache" and not state.text("id"):
        fields["id"] = posixpath.normpath(state.text("target") or ".")
    elif kind == "ssh" and not state.text("id"):
        fields["id"] = "default"
    elif kind == "secret" and not state.text("id"):
        fields["id"] = state.text("source") or posixpath.basename(state.text("target").rstrip("/"))
    read_only = kind not in ("cache", "tmpfs") if state.read_only is None else state.read_only
    return msgspec.convert(
        {
            **fields,
            "kind": kind,
            "read_only": read_only,
        },
        Mount,
    )
