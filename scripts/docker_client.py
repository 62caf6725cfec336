"""Debian sid's docker and docker compose, the newest that Debian has, in a root apart."""

from pathlib import Path

from scripts import busybox, debian_root

_PLUGINS = "usr/libexec/docker/cli-plugins"


def docker() -> Path:
    """The program `docker`. Raises debian.UnavailableError."""
    return _root() / "usr/bin/docker"


def compose() -> Path:
    """Its plugin `docker compose`, which is a program by itself as well. Raises debian.UnavailableError."""
    return _root() / _PLUGINS / "docker-compose"


def _root() -> Path:
    return debian_root.root("sid", ("docker-cli", "docker-compose"), busybox.cache_directory())
