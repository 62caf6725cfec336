"""Paths inside an image: how WORKDIR and destinations join, as BuildKit's util/system does it for Linux."""

import posixpath


def workdir(current: str, path: str) -> str:
    """What WORKDIR `path` puts into the config: an absolute path as it is written, a relative one joined, cleaned."""
    return path if path.startswith("/") else below(current, path)


def below(current: str, path: str) -> str:
    """The absolute, clean path that `path` means in the directory `current`."""
    return clean(posixpath.join(current or "/", path))


def destination(current: str, path: str) -> str:
    """An absolute, clean destination; a slash (or `/.`) at its end stays, because it says "a directory"."""
    if path in ("", "."):
        path = "./"
    joined = below(current, path)
    if joined != "/" and path.endswith(("/", "/.")):
        return joined + "/"
    return joined


def clean(path: str) -> str:
    """`path` as an absolute one without `.`, `..` and doubled slashes: no way leads above the root."""
    normal = posixpath.normpath("/" + path)
    # POSIX gives a meaning of its own to two leading slashes, and normpath keeps them.
    return "/" + normal.lstrip("/")
