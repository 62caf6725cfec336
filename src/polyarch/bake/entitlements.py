"""`--allow`: what a bake file may do. A file comes from a repository; a user who did not write it does not expect that
it reads files outside of the working directory, writes them, or loosens the sandbox.

The rules are those of buildx (entitlements.go). What `--set` names is allowed by that. Unlike in buildx, `--set
T.output+=` does not allow the other outputs of the file, and a Dockerfile counts as a file that is read.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from polyarch.bake import entries
from polyarch.bake.resolve import is_local
from polyarch.bake.target import BakeTarget
from polyarch.errors import UsageError

_WORDS = (
    "network.host",
    "security.insecure",
    "ssh",
    "buildx.local.delete",
    "device",
    "fs",
    "fs.read",
    "fs.write",
    "image",
    "image.push",
    "image.load",
)
_SHOWN = {
    "network.host": "RUN steps that use the network of this machine",
    "security.insecure": "RUN steps without a sandbox",
    "ssh": "the default ssh agent",
    "device": "devices",
    "fs.read": "reading {}",
    "fs.write": "writing {}",
    "fs": "reading and writing {}",
}
_ANY = "*"


class Grants(msgspec.Struct, frozen=True, kw_only=True):
    """What is allowed: entitlements by their words, and paths that may be read and written, `*` for all."""

    words: frozenset[str] = frozenset()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()

    def __or__(self, other: "Grants") -> "Grants":
        return Grants(words=self.words | other.words, reads=self.reads + other.reads, writes=self.writes + other.writes)


class Need(msgspec.Struct, frozen=True, order=True):
    """Something that a target needs and that is not allowed: the word of `--allow`, and the path if it is one."""

    word: str
    path: str = ""

    @property
    def flag(self) -> str:
        return f"--allow={self.word}={self.path}" if self.path else f"--allow={self.word}"

    @property
    def is_file(self) -> bool:
        """Whether it is about files, which BUILDX_BAKE_ENTITLEMENTS_FS=0 does not check."""
        return bool(self.path) or self.word == "ssh"

    def __str__(self) -> str:
        return _SHOWN.get(self.word, self.word).format(self.path)


class BakeHost(msgspec.Struct, frozen=True):
    """Where paths are: the working directory, and the home directory for `~/`. With `fetched`, relative contexts are
    not on this machine.
    """

    directory: Path
    home: str = ""
    fetched: bool = False

    def resolved(self, path: str) -> str:
        """The absolute path, with symbolic links followed as far as it exists."""
        if path.startswith("~/") and self.home:
            path = self.home + path[1:]
        return os.path.realpath(self.directory / path)


def parse(words: Iterable[str]) -> Grants:
    """What the values of `--allow` allow. Raises UsageError."""
    found = Grants()
    for word in words:
        key, equals, value = word.partition("=")
        if key not in _WORDS or (equals and not value) or (key.startswith("fs") and not equals):
            from difflib import get_close_matches

            near = get_close_matches(key, _WORDS, n=1)
            hint = "as in --allow network.host or --allow fs.read=PATH"
            raise UsageError(
                f"--allow {word} is unknown", f"did you mean {near[0]}?" if near and near[0] != key else hint
            )
        if key.startswith("fs"):
            reads = (value,) if key != "fs.write" else ()
            writes = (value,) if key != "fs.read" else ()
            found |= Grants(reads=reads, writes=writes)
        else:
            found |= Grants(words=frozenset({key}))
    return found


def of_overrides(sets: Sequence[str]) -> Grants:
    """What the values of `--set` allow: the paths and entitlements that they name. They parse."""
    found = Grants()
    for word in sets:
        path, _, value = word.partition("=")
        key = (*path.removesuffix("+").split(".", 2), "")[1]
        reader = _OF_KEYS.get(key)
        if reader is not None and value:
            found |= reader(value)
    return found


def missing(targets: Iterable[BakeTarget], grants: Grants, host: BakeHost) -> list[Need]:
    """What these targets need besides what is allowed. The working directory may be read and written."""
    reads, writes, words = set[str](), set[str](), set[str]()
    for target in targets:
        words |= {one.partition("=")[0] for one in target.run.entitlements or ()} & {*_SHOWN}
        words |= {"ssh"} if any(not one.paths for one in target.input.ssh or ()) else set()
        reads |= {*_read_by(target, host.fetched)}
        writes |= {*_written_by(target)}
    outside_reads = _outside(reads, grants.reads, host)
    outside_writes = _outside(writes, grants.writes, host)
    both = outside_reads & outside_writes
    found = [Need(word) for word in sorted(words - grants.words)]
    found += [Need("fs", path) for path in sorted(both)]
    found += [Need("fs.read", path) for path in sorted(outside_reads - both)]
    return found + [Need("fs.write", path) for path in sorted(outside_writes - both)]


def _outside(paths: Iterable[str], allowed: Sequence[str], host: BakeHost) -> set[str]:
    """Those of the paths that are not in an allowed directory, without those in another of them."""
    if _ANY in allowed:
        return set()
    roots = [host.resolved("."), *map(host.resolved, allowed)]
    found: set[str] = set()
    for path in sorted(map(host.resolved, filter(None, paths)), key=len):
        if not any(_is_in(path, root) for root in (*roots, *found)):
            found.add(path)
    return found


def _is_in(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def _read_by(target: BakeTarget, fetched: bool) -> Iterable[str]:
    """The paths that a target reads, besides what is in its contexts."""
    source = target.input
    context = source.context or "."
    yield from (_local(one, fetched) for one in (context, *(source.contexts or {}).values()))
    dockerfile = source.dockerfile or ""
    if dockerfile.startswith("cwd://"):
        yield dockerfile.removeprefix("cwd://")
    elif source.dockerfile_inline is None and (_local(context, fetched) or dockerfile.startswith("/")):
        yield os.path.join(_local(context, fetched), dockerfile)
    for secret in source.secrets or ():
        if not secret.env:
            yield secret.source or secret.id
    for agent in source.ssh or ():
        yield from agent.paths
    yield from _cached(target.cache.cache_from or (), "src")
    for policy in target.policy or ():
        yield from policy.files


def _written_by(target: BakeTarget) -> Iterable[str]:
    yield from (one.destination for one in target.result.outputs or () if one.destination not in ("", "-"))
    yield from _cached(target.cache.cache_to or (), "dest")


def _cached(caches: Iterable[entries.CacheEntry], name: str) -> Iterable[str]:
    return (one.attributes[name] for one in caches if one.type == "local" and one.attributes.get(name))


def _local(context: str, fetched: bool = False) -> str:
    """The path of a context on this machine, or empty. With `fetched`, a relative one is elsewhere."""
    if context.startswith("oci-layout://"):
        path, at, _ = context.removeprefix("oci-layout://").partition("@")
        return path if at else path.rpartition(":")[0] or path
    if not is_local(context) or (fetched and not context.startswith("cwd://")):
        return ""
    return context.removeprefix("cwd://") or "."


def _reads(paths: Iterable[str]) -> Grants:
    return Grants(reads=tuple(filter(None, paths)))


def _writes(paths: Iterable[str]) -> Grants:
    return Grants(writes=tuple(filter(None, paths)))


_OF_KEYS: Mapping[str, Callable[[str], Grants]] = {
    "context": lambda value: _reads([_local(value)]),
    "contexts": lambda value: _reads([_local(value)]),
    "cache-from": lambda value: _reads(_cached(entries.caches(value), "src")),
    "cache-to": lambda value: _writes(_cached(entries.caches(value), "dest")),
    "entitlements": lambda value: Grants(words=frozenset({value.partition("=")[0]})),
    "output": lambda value: _writes([entries.output(value).destination]),
    "secret": lambda value: _reads([entries.secret(value).source]),
    "secrets": lambda value: _reads([entries.secret(value).source or entries.secret(value).id]),
    "ssh": lambda value: _reads(entries.ssh(value).paths) | Grants(words=frozenset({"ssh"})),
}
