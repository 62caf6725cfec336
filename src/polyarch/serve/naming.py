"""Names: what the path of a request means, and which names in the store a repository of the server stands for.

What is pushed to `team/app` is `localhost/team/app` in the store. To be read, a repository is looked up under several
names, the first that has the tag wins: `localhost/PATH`; `docker.io/library/PATH`, if PATH has one component;
`docker.io/PATH`; and PATH itself, if it begins with a host. A port is written with `_`: `localhost_5000/team/app`.
"""

import re
from collections.abc import Iterator
from typing import Literal

import msgspec

from polyarch.oci import digest as digests
from polyarch.oci import reference as references

Kind = Literal["manifest", "blob", "upload", "uploads", "tags", "referrers", "catalog"]
PUSHED = "localhost/"
_LIBRARY, _HUB = "docker.io/library/", "docker.io/"
# `host_5000` stands for `host:5000`: a repository name has no colon.
_HOST_AND_PORT = re.compile(r"([a-z0-9.-]+)_([0-9]{1,5})")


class Route(msgspec.Struct, frozen=True):
    """What a path below /v2/ names: a kind of resource of a repository. `reference` is a tag, digest or upload."""

    kind: Kind
    repository: str
    reference: str = ""

    @property
    def is_digest(self) -> bool:
        """Whether the reference is a digest."""
        return digests.is_digest(self.reference)


def parse_path(path: str) -> Route | None:
    """The route of `path`, which begins after `/v2/`; None if there is no such endpoint.

    The repository and the reference are not checked. A repository may have components such as `blobs`, so the path is
    read from its end (distribution-spec, "Endpoints").
    """
    if path == "_catalog":
        return Route("catalog", "")
    for suffix in ("/blobs/uploads/", "/blobs/uploads"):
        if path.endswith(suffix):
            return Route("uploads", path.removesuffix(suffix))
    head, _, reference = path.rpartition("/")
    if reference == "list" and head.endswith("/tags"):
        return Route("tags", head.removesuffix("/tags"))
    for suffix, kind in _KINDS:
        if head.endswith(suffix) and reference:
            return Route(kind, head.removesuffix(suffix), reference)
    return None


_KINDS: tuple[tuple[str, Kind], ...] = (
    ("/manifests", "manifest"),
    ("/blobs/uploads", "upload"),
    ("/blobs", "blob"),
    ("/referrers", "referrers"),
)


def candidates(repository: str) -> Iterator[str]:
    """The repositories of the store that `repository` may stand for, the first one first."""
    yield PUSHED + repository
    head, slash, rest = repository.partition("/")
    if not slash:
        yield _LIBRARY + repository
    yield _HUB + repository
    if slash and (match := _HOST_AND_PORT.fullmatch(head)) is not None:
        yield f"{match[1]}:{match[2]}/{rest}"
    if slash and references.is_host(head):
        yield repository


def paths(name: str) -> Iterator[str]:
    """The paths under which the store's repository `name` may be reached, the shortest first."""
    for prefix in (PUSHED, _LIBRARY, _HUB):
        if name.startswith(prefix) and (prefix != _LIBRARY or "/" not in name.removeprefix(_LIBRARY)):
            yield name.removeprefix(prefix)
    head, _, rest = name.partition("/")
    host, colon, port = head.partition(":")
    yield f"{host}_{port}/{rest}" if colon else name


def shortest(path: str) -> str:
    """The shortest path that may stand for the same repository as `path`: `app`, for `localhost/app`."""
    return next(paths(path))


def split(name: str) -> tuple[str, str] | None:
    """A full reference as its repository and its tag; None if it has no tag."""
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag and "@" not in repository else None
