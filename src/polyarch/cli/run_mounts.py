"""Parse docker's flags for what is mounted in a container: `--volume`, `--mount` and `--tmpfs`."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from polyarch.errors import NotFoundError, UnsupportedError, UsageError

if TYPE_CHECKING:
    from polyarch.images.run_volumes import VolumeUse
    from polyarch.sandbox import Bind, Mount, Tmpfs

_KINDS = ("bind", "volume", "tmpfs")
_SYNONYMS = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_FLAGS = ("readonly", "bind-nonrecursive", "volume-nocopy", "bind-create-src")
_KEYS = {
    "bind": ("bind-propagation", "bind-nonrecursive", "bind-recursive", "bind-create-src", "consistency"),
    "volume": ("volume-nocopy", "volume-label", "volume-driver", "volume-opt", "volume-subpath", "consistency"),
    "tmpfs": ("tmpfs-size", "tmpfs-mode"),
}
_COMMON = ("type", "source", "target", "readonly")
# What the third part of --volume may have. Labels of SELinux have no effect: nothing here sets them.
_IGNORED = frozenset("rw z Z U cached delegated consistent private rprivate copy".split())
_SHARED = frozenset("shared rshared slave rslave".split())
_TMPFS_FLAGS = frozenset("rw ro suid nosuid dev nodev exec noexec sync async atime noatime diratime nodiratime".split())
_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")
_VOLUME_HINT = "expected SOURCE:/TARGET[:ro], NAME:/TARGET[:ro] or /TARGET"


def volume(text: str, here: Path) -> "Mount | VolumeUse":
    """The mount that a value of `--volume` describes. Raises UsageError, NotFoundError."""
    from polyarch.images.run_volumes import VolumeUse

    parts = text.split(":")
    source, target, mode = ("", *parts, "")[:3] if len(parts) == 1 else (*parts, "")[:3]
    if len(parts) > 3 or not target.startswith("/") or (len(parts) > 1 and not source):
        raise UsageError(f"invalid volume {text!r}", _VOLUME_HINT)
    words = [word for word in mode.split(",") if word]
    for word in words:
        if word in _SHARED:
            raise UnsupportedError(
                f"--volume {text} is not supported: a mount of a container is private", "leave out the propagation"
            )
        if word not in _IGNORED and word not in ("ro", "nocopy"):
            raise UsageError(f"invalid volume {text!r}: {word!r} is not an option", _VOLUME_HINT)
    if "ro" in words and "rw" in words:
        raise UsageError(f"invalid volume {text!r}: ro and rw contradict each other")
    if source.startswith(("/", ".", "~")):
        return _bind(source, target, here, read_only="ro" in words)
    _check_name(source)
    return VolumeUse(source, target, read_only="ro" in words, copy="nocopy" not in words)


def mount(text: str, here: Path) -> "Mount | VolumeUse":
    """The mount that a value of `--mount` describes, by docker's rules (opts/mount.go). Raises as `volume`."""
    from polyarch.images.run_volumes import VolumeUse

    values = _fields(text)
    kind = values.get("type", "volume")
    _check_keys(text, kind, values)
    target, source = values.get("target", ""), values.get("source", "")
    if not target.startswith("/"):
        raise UsageError(f"--mount {text}: the target must be an absolute path", "as in target=/data")
    read_only = _is_true("readonly", values)
    if kind == "bind":
        if not source:
            raise UsageError(f"--mount {text}: a bind mount needs a source", "as in source=./data")
        if values.get("bind-propagation", "rprivate") in _SHARED:
            raise UnsupportedError(
                f"--mount {text} is not supported: a mount of a container is private", "leave out bind-propagation"
            )
        if _is_true("bind-create-src", values):
            os.makedirs(here / os.path.expanduser(source), exist_ok=True)
        return _bind(source, target, here, read_only=read_only)
    if kind == "tmpfs":
        if source:
            raise UsageError(f"--mount {text}: a tmpfs has no source")
        return _tmpfs(target, read_only, values.get("tmpfs-size", ""), values.get("tmpfs-mode", ""), ("noexec",))
    if values.get("volume-driver", "local") != "local" or "volume-opt" in values:
        raise UnsupportedError(
            f"--mount {text} is not supported: there is only the volume driver local, without options"
        )
    _check_name(source)
    labels = tuple(word.removeprefix("volume-label=") for word in values.get("volume-label", "").split("\0") if word)
    return VolumeUse(
        source,
        target,
        read_only=read_only,
        copy=not _is_true("volume-nocopy", values),
        subpath=values.get("volume-subpath", ""),
        labels=tuple(label.partition("=")[::2] for label in labels),
    )


def tmpfs(text: str) -> "Tmpfs":
    """The mount that a value of `--tmpfs` describes: `/TARGET[:OPTION,…]`. Raises UsageError."""
    target, _, rest = text.partition(":")
    if not target.startswith("/"):
        raise UsageError(f"--tmpfs {text}: the target must be an absolute path", "as in --tmpfs /tmp:size=64m")
    size = mode = ""
    further = []
    # docker's defaults; a later word wins.
    chosen = {"exec": "noexec"}
    for word in filter(None, rest.split(",")):
        key, _, value = word.partition("=")
        if key == "size" and value:
            size = value
        elif key == "mode" and value:
            mode = value
        elif key in ("uid", "gid", "nr_inodes", "nr_blocks") and value.isdecimal():
            further.append(word)
        elif word in _TMPFS_FLAGS:
            chosen[word.removeprefix("no")] = word
        else:
            raise UsageError(f"--tmpfs {text}: {word!r} is not an option", "as in --tmpfs /tmp:size=64m,mode=1777")
    further += [word for word in chosen.values() if word not in ("ro", "rw")]
    return _tmpfs(target, chosen.get("ro") == "ro", size, mode, further)


def _tmpfs(target: str, read_only: bool, size: str, mode: str, further: "Iterable[str]") -> "Tmpfs":
    from polyarch.buildflags.size import bytes_of
    from polyarch.sandbox import Tmpfs

    try:
        number = int(mode, 8) if mode else 0o1777
    except ValueError:
        number = -1
    if not 0 <= number <= 0o7777:
        raise UsageError(f"invalid mode {mode!r} of a tmpfs", "expected an octal number, as in 1777")
    return Tmpfs(target, bytes_of(size, memory=True) if size else 0, number, read_only, further=tuple(further))


def _bind(source: str, target: str, here: Path, *, read_only: bool) -> "Bind":
    from polyarch.sandbox import Bind

    path = os.path.realpath(here / os.path.expanduser(source))
    if not os.path.exists(path):
        raise NotFoundError(f"cannot mount {path}: it does not exist", "create it first")
    return Bind(path, target, read_only)


def _fields(text: str) -> dict[str, str]:
    """The keys and values of a --mount, by their longer names. Repeated labels are joined with NUL."""
    from polyarch import csvfields

    try:
        words = csvfields.fields(text)
    except csvfields.CsvError as error:
        raise UsageError(f"--mount {text}: it is not a list of KEY=VALUE with commas: {error}") from error
    values: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        key = _SYNONYMS.get(key.lower(), key.lower())
        if not equals and key not in _FLAGS:
            raise UsageError(f"--mount {text}: {word!r} is not KEY=VALUE", "as in type=bind,source=./data,target=/data")
        if key == "volume-label":
            value = f"{values.get(key, '')}\0{value}"
        values[key] = value if equals else "true"
    return values


def _check_keys(text: str, kind: str, values: dict[str, str]) -> None:
    if kind not in _KINDS:
        if kind in ("image", "npipe", "cluster"):
            raise UnsupportedError(
                f"--mount {text} is not supported: there are no mounts of type {kind}", "copy with polyarch cp first"
            )
        raise UsageError(f"--mount {text}: unknown type {kind!r}", f"there are {', '.join(_KINDS)}")
    for key in values:
        if key in _COMMON or key in _KEYS[kind]:
            continue
        owner = next((other for other, keys in _KEYS.items() if key in keys), None)
        if owner:
            raise UsageError(f"--mount {text}: {key} belongs to type={owner}, not to type={kind}")
        raise UsageError(
            f"--mount {text}: unknown key {key!r}", f"type={kind} has {', '.join((*_COMMON, *_KEYS[kind]))}"
        )


def _is_true(key: str, values: dict[str, str]) -> bool:
    value = values.get(key, "false").lower()
    if value not in (*_TRUE, *_FALSE):
        raise UsageError(f"--mount: invalid value for {key}: {value!r}", "expected true or false")
    return value in _TRUE


def _check_name(name: str) -> None:
    """Refuse what docker refuses as the name of a volume, before an image is pulled."""
    from polyarch.store.volumes import check_name

    if name:
        check_name(name)
