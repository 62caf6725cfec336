"""Which sources of ADD are URLs, and which are git repositories (BuildKit, frontend/dockerfile/dfgitutil)."""

import posixpath
import re
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

from polyarch.errors import UsageError

_SCP = r"(?:[\w.-]+@)[\w.-]+:.+"  # git@host:path, as ssh and scp read it
_COMMIT = r"[0-9a-f]{40}|[0-9a-f]{64}"
_FLAG = {"": True, "1": True, "true": True, "0": False, "false": False}
_QUERY = frozenset(
    {"ref", "tag", "branch", "commit", "checksum", "subdir", "submodules", "keep-git-dir", "mtime", "fetch-by-commit"}
)
_BARE = frozenset({"submodules", "keep-git-dir", "fetch-by-commit"})


class GitSource(msgspec.Struct, frozen=True, kw_only=True):
    """A repository and the part of it that is meant. Options that were not given are empty or None."""

    url: str
    ref: str = ""
    subdirectory: str = ""
    checksum: str = ""
    keep_git_directory: bool | None = None
    submodules: bool = True
    fetch_by_commit: bool = False

    def wanted(self, checksum: str = "") -> str:
        """What to fetch: the reference, or with fetch-by-commit the commit.

        `checksum` is the instruction's own. Raises UsageError if a commit has to be fetched and none is given in full.
        """
        if not self.fetch_by_commit or re.fullmatch(_COMMIT, self.ref):
            return self.ref
        checksum = self.checksum or checksum
        if not checksum:
            raise UsageError("fetch-by-commit requires a checksum or a commit SHA ref", "add checksum=COMMIT")
        if not re.fullmatch(_COMMIT, checksum):
            raise UsageError(f'fetch-by-commit requires a full commit SHA checksum, got "{checksum}"')
        return checksum


def is_http(source: str) -> bool:
    """Whether `source` is a file to fetch. A URL whose path ends in .git is a repository."""
    return source.startswith(("http://", "https://")) and git(source) is None


def file_name(url: str) -> str:
    """The name of a fetched file: the last part of the URL's path."""
    name = posixpath.basename(_parsed(url).path.rstrip("/"))
    return unquote(name) if name not in ("", ".", "/") else "__unnamed__"


def git(source: str, *, context: bool = False) -> GitSource | None:
    """The repository that `source` names; None if it is a path or a plain URL.

    `github.com/…` is a repository as a build context, and a path in ADD. Raises UsageError for an unknown query and for
    contradicting ones.
    """
    scheme = source.partition("://")[0] if "://" in source else ""
    if scheme in ("git", "ssh"):
        url, fragment, query = _split(source)
    elif scheme in ("http", "https"):
        if not _parsed(source).path.endswith(".git"):
            return None
        url, fragment, query = _split(source)
    elif context and source.startswith("github.com/"):
        url, fragment, query = _split("https://" + source)
    elif not scheme and re.fullmatch(_SCP, source) and "/" not in source.partition(":")[0]:
        url, _, fragment = source.partition("#")
        query = {}
    else:
        return None
    ref, _, subdirectory = fragment.partition(":")
    checksum = _one(query, "checksum", "commit")
    ref = _agreed("ref", ref, query.get("ref", ""))
    ref = _agreed("ref", ref, _prefixed("refs/tags/", query.get("tag", "")))
    if "tag" in query and "branch" in query:
        raise UsageError("branch conflicts with tag")
    ref = _agreed("ref", ref, _prefixed("refs/heads/", query.get("branch", "")))
    keep = query.get("keep-git-dir")
    return GitSource(
        url=url,
        ref=ref or checksum,
        subdirectory=_agreed("subdir", subdirectory, query.get("subdir", "")).strip("/"),
        checksum=checksum,
        keep_git_directory=None if keep is None else _flag("keep-git-dir", keep),
        submodules=_flag("submodules", query.get("submodules", "true")),
        fetch_by_commit=_flag("fetch-by-commit", query.get("fetch-by-commit", "false")),
    )


def _agreed(what: str, one: str, other: str) -> str:
    if one and other and one != other:
        raise UsageError(f'{what} conflicts: "{one}" vs "{other}"')
    return one or other


def _prefixed(prefix: str, name: str) -> str:
    return prefix + name.removeprefix(prefix) if name else ""


def _one(query: dict[str, str], *names: str) -> str:
    return next((query[name] for name in names if name in query), "")


def _parsed(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise UsageError(f"invalid URL: {error}", "write an IPv6 address in brackets") from error


def _split(source: str) -> tuple[str, str, dict[str, str]]:
    parts = _parsed(source)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    query = dict(pairs)
    if len(query) < len(pairs):
        twice = next(name for name in query if [key for key, _ in pairs].count(name) > 1)
        raise UsageError(f'query "{twice}" has multiple values')
    if unknown := sorted(set(query) - _QUERY):
        raise UsageError(f'unexpected query "{unknown[0]}"', f"a git source has {', '.join(sorted(_QUERY))}")
    if empty := [name for name, value in query.items() if not value and name not in _BARE]:
        raise UsageError(f'query "{empty[0]}" has no value')
    if query.get("mtime", "commit") not in ("checkout", "commit"):
        raise UsageError(f'invalid mtime value: "{query["mtime"]}"', "it is checkout or commit")
    return parts._replace(query="", fragment="").geturl(), parts.fragment, query


def _flag(name: str, text: str) -> bool:
    if text.lower() not in _FLAG:
        raise UsageError(f'invalid {name} value: "{text}"', "it is true or false")
    return _FLAG[text.lower()]
