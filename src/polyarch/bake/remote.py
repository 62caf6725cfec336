"""Bake files from a URL: `bake URL [CONTEXT-URL] [TARGET]...`. The URL is a git repository, an archive or one file.

Relative contexts are then in what was fetched, as in buildx; `cwd://PATH` is on this machine.
"""

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from polyarch import buildflags
from polyarch.bake import files
from polyarch.bake.reading.definition import BakeFile
from polyarch.bake.resolve import is_local
from polyarch.builder.contexts.location import is_remote
from polyarch.builder.plan.remote import git
from polyarch.builder.request.input import RemoteContext
from polyarch.errors import NotFoundError, UsageError
from polyarch.progress import Emit

if TYPE_CHECKING:
    from polyarch.builder import BuildRequest
    from polyarch.buildflags import Surroundings
    from polyarch.registry import Registry
    from polyarch.store import Store

_LOCAL = "cwd://"
_TOKENS = {"GIT_AUTH_TOKEN": "BUILDX_BAKE_GIT_AUTH_TOKEN", "GIT_AUTH_HEADER": "BUILDX_BAKE_GIT_AUTH_HEADER"}
_AGENT = "BUILDX_BAKE_GIT_SSH"


class BakeWhere(msgspec.Struct, frozen=True, kw_only=True):
    """Where the files of a bake come from, and the contexts that are relative to them.

    `url` is empty for files on this machine. `command` is the value of BAKE_CMD_CONTEXT. `directory` is what was
    fetched, None for one file, whose contexts are on this machine.
    """

    url: str = ""
    command: str = _LOCAL
    directory: Path | None = None

    @property
    def is_fetched(self) -> bool:
        """Whether relative contexts are in what was fetched."""
        return self.directory is not None

    def context(self, path: str) -> str | Path:
        """The context of a build for a context of a target. Raises UsageError, NotFoundError."""
        if not is_local(path):
            return path
        if self.directory is None or path.startswith(_LOCAL):
            return Path(posixpath.normpath(path.removeprefix(_LOCAL) or "."))
        part = posixpath.normpath("/" + path).strip("/")
        if git(self.url, context=True) is not None:
            return _with_subdirectory(self.url, part)
        found = self.directory / part
        if not _is_in(found, self.directory):
            raise UsageError(f"the context {path} is outside of {self.url}")
        if not found.is_dir():
            raise NotFoundError(f"there is no directory {path} in {self.url}")
        return found

    def shown(self, path: str) -> str:
        """The context of a target as `--print` shows it: the URL, if it is in a repository."""
        found = self.context(path) if self.is_fetched and git(self.url, context=True) is not None else path
        return found if isinstance(found, str) else path

    def secrets(self, context: str | Path, around: "Surroundings") -> list[str]:
        """The secrets with which git reads a context of the same host as the files, as values of `--secret`."""
        host = _host(self.url)
        if not host or not isinstance(context, str) or _host(context) != host:
            return []
        return [f"id={key}.{host},env={name}" for key, name in _TOKENS.items() if around.variables.get(name)]


def cut(words: Sequence[str]) -> tuple[BakeWhere, tuple[str, ...]]:
    """The URLs at the beginning of the command's arguments, and the targets after them."""
    urls = list(words[:2])
    if not urls or not _is_url(urls[0]):
        return BakeWhere(), tuple(words)
    if len(urls) == 1 or not _is_url(urls[1]):
        return BakeWhere(url=urls[0]), tuple(words[1:])
    return BakeWhere(url=urls[0], command=urls[1]), tuple(words[2:])


def names(given: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of the names of files, those that are where the URL is, and those on this machine."""
    here = tuple(name for name in given if name.startswith(_LOCAL) or name == "-")
    return tuple(name for name in given if name not in here), here


def fetch(
    where: BakeWhere,
    given: Sequence[str],
    around: "Surroundings",
    store: "Store",
    registry: "Registry",
    scratch: Path,
    emit: Emit,
) -> tuple[BakeWhere, list[BakeFile]]:
    """Fetch the URL into `scratch`, which the caller owns. Returns where contexts are, and the files with the given
    names, or the default ones that exist. Raises NotFoundError, UsageError, and the errors of fetching.
    """
    from polyarch.builder.contexts.remote import Fetcher
    from polyarch.builder.perform.remotes import Remotes

    request = _request(where.url, around)
    opened = Fetcher(Remotes(request, store, registry, scratch, emit), scratch).main(RemoteContext(where.url))
    if opened.directory is None:
        return where, [BakeFile(where.url, files.decoded((opened.text or "").encode(), where.url))]
    found: list[BakeFile] = []
    for name in given or files.DEFAULT:
        path = opened.directory / name
        if not _is_in(path, opened.directory):
            raise UsageError(f"the bake file {name} is outside of {where.url}")
        if path.is_file():
            found.append(BakeFile(name, files.decoded(path.read_bytes(), name)))
        elif given:
            raise NotFoundError(f"there is no bake file {name} in {where.url}")
    return msgspec.structs.replace(where, directory=opened.directory), found


def _request(url: str, around: "Surroundings") -> "BuildRequest":
    """A request whose secrets and variables the fetch uses."""
    variables = dict(around.variables)
    if variables.get(_AGENT):
        variables["SSH_AUTH_SOCK"] = variables[_AGENT].partition(",")[0]
    secrets = BakeWhere(url=url).secrets(url, around)
    return buildflags.request(url, msgspec.structs.replace(around, variables=variables), secrets=secrets)


def _is_url(word: str) -> bool:
    try:
        return is_remote(word)
    except UsageError:
        return False


def _host(url: str) -> str:
    source = git(url, context=True)
    return "" if source is None else urlsplit(source.url).netloc.rpartition("@")[2].lower()


def _is_in(path: Path, directory: Path) -> bool:
    root = os.path.realpath(directory)
    return os.path.commonpath([os.path.realpath(path), root]) == root


def _with_subdirectory(url: str, part: str) -> str:
    """The URL of a directory in a git repository."""
    source = git(url, context=True)
    if source is None or not part:
        return url
    whole = posixpath.normpath(posixpath.join(source.subdirectory, part))
    base, _, fragment = url.partition("#")
    if not fragment and (source.subdirectory or "subdir=" in base):
        from urllib.parse import parse_qsl, urlencode

        parts = urlsplit(base)
        query = [(key, whole if key == "subdir" else value) for key, value in parse_qsl(parts.query)]
        return parts._replace(query=urlencode(query)).geturl()
    return f"{base}#{fragment.partition(':')[0]}:{whole}"
