"""What ADD takes for a URL and what for a git repository (BuildKit, frontend/dockerfile/dfgitutil)."""

import posixpath
import re
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from polyarch.errors import UsageError

_SCP = re.compile(r"(?:[\w.-]+@)[\w.-]+:.+")  # git@host:path, as ssh and scp read it
_FLAG = {"": True, "1": True, "true": True, "0": False, "false": False}
_QUERY = frozenset(
    {"ref", "tag", "branch", "commit", "checksum", "subdir", "submodules", "keep-git-dir", "mtime", "fetch-by-commit"}
)


class GitSource(msgspec.Struct, frozen=True, kw_only=True):
    """A repository, and what of it is meant; empty and None where nothing was said."""

    url: str
    ref: str = ""
    subdirectory: str = ""
    checksum: str = ""
    keep_git_directory: bool | None = None
    submodules: bool = True


def is_http(source: str) -> bool:
    """Whether `source` is a file to fetch; a URL whose path ends in .git is a repository."""
    return source.startswith(("http://", "https://")) and git(source) is None


def file_name(url: str) -> str:
    """What a fetched file is called: the last part of the URL's path."""
    name = posixpath.basename(urlsplit(url).path.rstrip("/"))
    return unquote(name) if name not in ("", ".", "/") else "__unnamed__"


def git(source: str) -> GitSource | None:
    """The repository that `source` names, or None if it is a path or a plain URL.

    Raises UsageError for a query that git sources do not have.
    """
    scheme = source.partition("://")[0] if "://" in source else ""
    if scheme in ("git", "ssh"):
        url, fragment, query = _split(source)
    elif scheme in ("http", "https"):
        url, fragment, query = _split(source)
        if not urlsplit(url).path.endswith(".git"):
            return None
    elif not scheme and source.startswith("github.com/"):
        url, fragment, query = _split("https://" + source)
    elif not scheme and _SCP.fullmatch(source) and "/" not in source.partition(":")[0]:
        url, _, fragment = source.partition("#")
        query = {}
    else:
        return None
    ref, _, subdirectory = fragment.partition(":")
    for key in ("ref", "tag", "branch"):
        ref = query.get(key, ref)
    keep = query.get("keep-git-dir")
    return GitSource(
        url=url,
        ref=ref,
        subdirectory=query.get("subdir", subdirectory).strip("/"),
        checksum=query.get("checksum", query.get("commit", "")),
        keep_git_directory=None if keep is None else _flag("keep-git-dir", keep),
        submodules=_flag("submodules", query.get("submodules", "true")),
    )


def _split(source: str) -> tuple[str, str, dict[str, str]]:
    parts = urlsplit(source)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(set(query) - _QUERY):
        raise UsageError(f"a git source has no query {unknown[0]!r}", f"it has {', '.join(sorted(_QUERY))}")
    return parts._replace(query="", fragment="").geturl(), parts.fragment, query


def _flag(name: str, text: str) -> bool:
    if text.lower() not in _FLAG:
        raise UsageError(f"{name} takes true or false, not {text!r}")
    return _FLAG[text.lower()]
