"""Decide whether a build context is a directory on this machine or something to fetch. No other module decides it."""

import os
from pathlib import Path

from polyarch.builder.plan import remote
from polyarch.errors import UsageError


def is_remote(word: str, name: str = "") -> bool:
    """Whether `word` is a URL or a git repository; otherwise it is a path. `name` is that of a named context. Raises
    UsageError for a malformed URL, and for an unsupported scheme.
    """
    if word.startswith(("http://", "https://")) or remote.git(word, context=True) is not None:
        return True
    if "://" in word:
        kinds = "a directory, docker-image://NAME, oci-layout://PATH, a URL" if name else "a directory, a URL"
        shown = f"{name}={word}" if name else word
        raise UsageError(f"the build context {shown} is of an unknown kind", f"it is {kinds} or a git repository")
    return False


def is_directory(path: Path) -> bool:
    """Whether `path` is a directory. Unlike `Path.is_dir`, returns False for a name that no file can have."""
    return os.path.isdir(path)
