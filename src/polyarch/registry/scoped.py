"""Credentials for a part of a registry, as `login` with a scope stores them for buildx.

Below buildx's directory `config`, a file `HOST[/REPOSITORY][@ACTION,...]/config.json` is used instead of docker's for
requests that it fits (buildx, util/dockerutil/dockerconfig/configprovider.go).
"""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

_NAME = "config.json"
# The host of Docker Hub in the names of these directories.
_DOCKER_API = "registry-1.docker.io"
_DOCKER_HOSTS = ("docker.io", "index.docker.io", _DOCKER_API)


class ScopedFile(msgspec.Struct, frozen=True):
    """A file of credentials, and what it is for. Without a repository or actions, it is for all of them."""

    file: Path
    host: str
    repository: str = ""
    actions: frozenset[str] = frozenset()


def choose(directory: Path, host: str, repository: str, actions: Collection[str]) -> Path | None:
    """The file for a request of these actions on a repository. One with a repository comes first, then one with more
    actions.
    """
    host = _DOCKER_API if host in _DOCKER_HOSTS else host
    fitting = [
        one
        for one in _files(directory)
        if one.host == host and one.repository in ("", repository) and one.actions <= frozenset(actions)
    ]
    fitting.sort(key=lambda one: (one.repository == "", -len(one.actions), str(one.file)))
    return fitting[0].file if fitting else None


def _files(directory: Path) -> Iterator[ScopedFile]:
    for parent, _, names in os.walk(directory):
        if _NAME in names:
            place, _, actions = os.path.relpath(parent, directory).partition("@")
            host, _, repository = place.partition("/")
            yield ScopedFile(
                Path(parent, _NAME), host, repository, frozenset(filter(None, map(str.strip, actions.split(","))))
            )
